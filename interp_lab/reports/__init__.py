"""Reports: contracts in, Markdown or one self-contained HTML page out; the same numbers, no science, no torch."""
