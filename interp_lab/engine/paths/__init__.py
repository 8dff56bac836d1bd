"""Paths between units: what a change of one does to later ones, and which part of that the blocks between mediate."""
