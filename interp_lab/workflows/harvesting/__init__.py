"""The steps of a harvest; the workflow itself is `interp_lab.workflows.harvest`."""
