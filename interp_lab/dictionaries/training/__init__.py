"""Training of dictionaries: a step over chosen pairs, the dense reference of the same loss, what surrounds them."""
