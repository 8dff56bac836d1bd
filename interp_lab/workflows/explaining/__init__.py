"""Steps of explain_latent: evidence, rules, blind challenges, what is kept, and what others wrote."""
