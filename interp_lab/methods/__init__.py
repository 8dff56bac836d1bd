"""One file per method: arrays in, a small frozen record out.

No method imports another; composition belongs to workflows.
"""
