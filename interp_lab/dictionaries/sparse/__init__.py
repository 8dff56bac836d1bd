"""Batches of sparse codes without a matrix of tokens by latents: which pairs are active, and products over them."""
