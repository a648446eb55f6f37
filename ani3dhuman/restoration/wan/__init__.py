"""Wan VACE: the prior, its networks, adapters and step cache, and what it costs in memory and time."""
