"""What the latent video models share, and LTX-Video."""
