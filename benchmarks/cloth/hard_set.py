"""The hard set: motions, garments and meshes on which cloth fails. Every sequence is a shot; nothing is random."""

from __future__ import annotations

from . import hard_mesh, hard_motion
from .registry import ABOUT, SEQUENCES

__all__ = ["ABOUT", "SEQUENCES", "hard_mesh", "hard_motion"]
