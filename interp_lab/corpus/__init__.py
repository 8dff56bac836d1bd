"""Text of the project's own: a lexicon, a recursive grammar, document families and the split rule. Torch-free and deterministic."""
