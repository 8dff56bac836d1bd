"""Dictionaries on disk: the SAELens layout, which is our own too; foreign formats are in `interp_lab.bridges`."""
