"""Which way is up: the axes of other formats, and the turn from Blender's world into them."""

from __future__ import annotations

import numpy as np

from ani3d_formats.errors import Ani3DError

# columns are where Blender's x, y and z (right, away from a character that looks at you, up) go
AXES: dict[str, np.ndarray] = {
    "z-up": np.eye(3),  # Blender, USD as we write it
    "y-up": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),  # glTF, SPZ (right, up, back)
    "y-down": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),  # PLY of 3DGS and what came of it (right, down, front)
}


def turn(source: str, target: str) -> np.ndarray:
    """The rotation (3,3) from one named axes into another. Raises `Ani3DError` ``splats.axes``."""
    for name in (source, target):
        if name not in AXES:
            raise Ani3DError("splats.axes", f"There are no axes called {name!r}.", f"Choose one of {', '.join(AXES)}.")
    return AXES[target] @ AXES[source].T
