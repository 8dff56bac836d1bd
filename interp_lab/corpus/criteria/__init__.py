"""Labelled data for criteria: one generator file per criterion, each a table of contrast families.

Owns what the prompts in `prompts/datasets` say and how they regenerate; what a row is belongs to `contracts.prompts`.
"""
