"""Linear probes: what a linear function of an activation says about a target, beside what chance and surface say.

Training and controls are here; which rows train, choose and confirm is decided by the caller.
"""
