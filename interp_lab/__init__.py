"""interp-lab: the interpretability lab that LLM agents drive. This package is what is true: science, records, jobs and artifacts."""
