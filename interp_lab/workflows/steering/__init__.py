"""What make_steering_vector and steer are made of: directions, their evidence, edited generation, its side effects."""
