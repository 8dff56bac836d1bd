"""interp-lab: the interpretability lab that LLM agents drive. This package is what is true: science, jobs, files."""
