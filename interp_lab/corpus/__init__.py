"""Text of the project's own: a lexicon, a recursive grammar, families of documents and the split rule. Torch-free."""
