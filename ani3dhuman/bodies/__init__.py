"""Parametric bodies of the SMPL family, from the files that a user has."""
