"""Finds what changed between a model and a changed version of it."""
