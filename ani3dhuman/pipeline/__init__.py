"""The stages joined: a shot goes in, caches and pictures come out."""

from .animate import animate
from .settings import PRESETS, Settings

__all__ = ["PRESETS", "Settings", "animate"]
