"""Short runs of the lab's own work, by which a machine is profiled."""
