"""What calibrate is made of: the sweep, the blind pipeline, the key, the score."""
