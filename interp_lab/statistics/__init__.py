"""Numbers about samples of grouped prompts: intervals, permutation, correction, effect size, power.

Numpy only, and every column of a table at once.
"""
