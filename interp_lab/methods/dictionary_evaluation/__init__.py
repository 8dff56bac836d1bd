"""How good a dictionary is: one measure per file, activations and codes in, a small record out.

A measure says what was measured, never whether that is enough; nothing here reads a model, a store or a file.
"""
