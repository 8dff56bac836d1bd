"""Activations on disk: dense values and sparse codes as mapped tensors, rows and prompts as tables, all hashed.

Nothing here imports torch, and pyarrow only where a table is read or written.
"""
