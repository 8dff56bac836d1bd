"""The machine that the lab runs on: what it has, what this process may use of it, which engines it reaches."""
