# SPDX-License-Identifier: GPL-3.0-or-later
"""Ani3DHuman for Blender: sends a rigged character to the engine and plays what comes back.

This file only registers. Blender modules are imported when Blender asks for them, so that the build
script beside them also runs in a plain Python.
"""

from __future__ import annotations


def register() -> None:
    from . import registry

    registry.register()


def unregister() -> None:
    from . import registry

    registry.unregister()
