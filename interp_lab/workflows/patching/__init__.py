"""The steps of activation patching: which pairs line up, maps on explore pairs, the strongest places on the others."""
