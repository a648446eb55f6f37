"""Inputs of a video prior besides the coarse pictures: read `scene` (all of them), `reference`, `latent_mask`."""
