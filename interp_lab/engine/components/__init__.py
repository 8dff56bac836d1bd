"""A decoder as a graph of components, run with any of its edges replaced."""
