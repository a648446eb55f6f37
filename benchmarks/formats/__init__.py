"""Gaussians in other programs' formats: speed, readers of others, damaged files, a person taken in."""
