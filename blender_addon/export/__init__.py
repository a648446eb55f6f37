# SPDX-License-Identifier: GPL-3.0-or-later
"""The shot: everything the engine needs to know about a scene, as a flat dict of numpy arrays.

`export_shot` is a plain function; the operator only adds a file and a progress bar. It depends on the
armature it is given, never on the selection, and leaves the scene at the frame it found it at.
"""

from .shot import Progress, export_shot

__all__ = ["Progress", "export_shot"]
