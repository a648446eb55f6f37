"""Cloth against cloth: what may touch, how it is kept apart, and how what has crossed is pulled apart."""
