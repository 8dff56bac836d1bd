"""Edited runs of a model: many variants of a prompt in one pass, from the first edited layer on."""
