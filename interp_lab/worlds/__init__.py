"""Worlds with known truth: models and data whose causal structure is known by construction and measured when made.

Seeds 0-999 are for development, 1000-1999 for reported figures; nothing is ever tuned on the second range. The truth of
a world lies in a sealed file of its own that only `interp_lab.worlds.folder.open_truth` reads, for scoring. This
package grades nothing and knows no tool that is tested on it.
"""
