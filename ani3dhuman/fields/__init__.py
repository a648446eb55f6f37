"""Residual fields: trainable motion of mesh points over time, zero at the start."""
