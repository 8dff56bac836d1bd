"""Formats of other tools, read into a store and written from one; each file owns one format and none runs a model.

A reader gives an `Incoming`: a header, blocks of rows, and the prompts they belong to. What it cannot be sure of it
refuses by line, row or name; it never fills a gap with a number.
"""
