"""Models: where they come from, what they are, how they load, how text becomes tokens. Never hooks."""
