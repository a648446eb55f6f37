"""Gaussians in the file formats of others."""
