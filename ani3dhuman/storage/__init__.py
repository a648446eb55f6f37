"""Checkpoints and finished stages on disk."""
