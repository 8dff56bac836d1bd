"""What drawing the attribution graph of a prompt is made of."""
