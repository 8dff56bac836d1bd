"""Steps of a comparison of two models."""
