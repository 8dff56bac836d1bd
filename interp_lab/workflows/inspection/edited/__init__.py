"""Interventions that an inspection is given: read strictly, set against its split, and merged into its grades."""
