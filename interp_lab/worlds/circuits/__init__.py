"""Hand-set circuits: small GPT-2 models whose every weight follows from a program that is written down."""
