"""The steps of training dictionaries; the workflow itself is `interp_lab.workflows.train_sae`."""
