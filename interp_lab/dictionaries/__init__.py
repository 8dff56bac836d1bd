"""Dictionaries of latents: how they encode, decode and are trained. Files and foreign formats are read next door."""
