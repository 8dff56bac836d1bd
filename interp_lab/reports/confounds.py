"""What each confound is called in sentences and tables; records keep its identifier."""

from __future__ import annotations

CONFOUNDS = {
    "length": "length",
    "tokens": "number of tokens",
    "punctuation": "share of punctuation",
    "digits": "share of digits",
    "uppercase": "share of capitals",
    "surface_joint": "length, punctuation, digits and capitals together",
    "bag_of_words": "single words",
    "template": "template family",
}


def confound_words(name: str) -> str:
    """Return what a confound is called; an unknown identifier is read out as it is."""
    return CONFOUNDS.get(name, name.replace("_", " "))
