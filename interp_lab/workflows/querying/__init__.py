"""The parts of query_activations: opening a store, choosing rows, a file for each question, the answer's table."""
