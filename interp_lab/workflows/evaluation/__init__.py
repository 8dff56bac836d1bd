"""What evaluate_sae is made of: where tokens come from, what is measured on them, and the report."""
