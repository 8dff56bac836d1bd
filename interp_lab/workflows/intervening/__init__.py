"""The steps of an intervention: which units, which edits and controls, their effects on two parts, the report."""
