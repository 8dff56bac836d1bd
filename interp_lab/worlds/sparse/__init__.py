"""Worlds of sparse features without a model: activations whose true dictionary is known."""
