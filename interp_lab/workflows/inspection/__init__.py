"""The parts of the inspect workflow: what it reads, what it measures, what it says."""
