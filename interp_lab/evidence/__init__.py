"""Numbers to graded claims: what is one independent unit, which rows may grade what, how far the evidence carries.

Torch-free.
"""
