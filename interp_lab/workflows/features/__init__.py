"""Parts of the feature tools: what is known of one latent, and how latents are found."""
