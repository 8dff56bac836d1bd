"""The steps of tracing: ends, the screen, exact effects beside controls, claims, the report."""
