"""Pooling: how the values at a prompt's tokens become one value of the prompt."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["max", "mean", "last", "span"]
"""How token values become one value per prompt; 'span' takes the mean over the labelled tokens."""
