"""What can be asked of the lab: the catalogue, one small file per capability."""
