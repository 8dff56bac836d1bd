"""What finding circuits and drawing graphs of attribution is made of."""
