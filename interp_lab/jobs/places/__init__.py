"""Where the runner program of a part of a job can run: processes here, a Slurm cluster, a Ray cluster."""
