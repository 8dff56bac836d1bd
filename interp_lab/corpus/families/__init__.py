"""The kinds of document that the generators write, each a function from a writer to a text."""
