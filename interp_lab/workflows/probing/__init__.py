"""Parts of train_probe: examples from a store, their split, the sweep with its controls, the report."""
