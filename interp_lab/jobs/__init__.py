"""Durable work: one process per job, an SQLite catalogue, kernel locks as life-signs, results published once.

At-least-once execution, exactly-once publication. Torch-free; what a job computes is the caller's function.
"""
