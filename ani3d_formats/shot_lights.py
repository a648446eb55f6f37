"""The lights of a shot: which arrays there are, which agree, and how they grow with a scene.

Suns are required arrays, as ever; lamps, shapes and a world that is not even are optional. Every array but
`lamp_kinds` may have a first axis of T frames, and has it where something moves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .shot_meta import bad
from .shot_scene import FRAMES

LAMP_KINDS = ("point", "spot", "rectangle", "ellipse")

REQUIRED_LIGHTS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "sun_directions": ((FRAMES, "L", 3), "f"),
    "sun_colors": ((FRAMES, "L", 3), "f"),
    "ambient": ((FRAMES, 3), "f"),
    "background": ((3,), "f"),
}
OPTIONAL_LIGHTS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "sun_shapes": ((FRAMES, "L", 2), "f"),
    "lamp_kinds": (("P",), "i"),
    "lamp_matrices": ((FRAMES, "P", 4, 4), "f"),
    "lamp_colors": ((FRAMES, "P", 3), "f"),
    "lamp_shapes": ((FRAMES, "P", 5), "f"),
    "ambient_sh": ((FRAMES, 9, 3), "f"),
    "sky_picture": (("SH", "SW", 3), "f"),
}
LIGHT_ARRAYS = (*REQUIRED_LIGHTS, *OPTIONAL_LIGHTS)
_LAMPS = ("lamp_kinds", "lamp_matrices", "lamp_colors", "lamp_shapes")


def check_lights(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse lamps that are not whole, with `Ani3DError` ``shot.missing_array`` or ``shot.bad_index``."""
    there = [name for name in _LAMPS if name in arrays]
    if there and len(there) < len(_LAMPS):
        missing = next(name for name in _LAMPS if name not in arrays)
        raise bad("missing_array", f"The shot has '{there[0]}' but no '{missing}'.")
    kinds = arrays.get("lamp_kinds", np.zeros(0, np.int32))
    if kinds.size and not (kinds.min() >= 0 and kinds.max() < len(LAMP_KINDS)):
        raise bad("bad_index", f"'lamp_kinds' points outside 0..{len(LAMP_KINDS) - 1}.")


def scaled_lights(arrays: Mapping[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    """The lamps of a scene that is `factor` times as large and looks the same: farther, larger and stronger."""
    if "lamp_kinds" not in arrays:
        return {}
    places, shapes = arrays["lamp_matrices"].copy(), arrays["lamp_shapes"].copy()
    places[..., :3, 3] *= np.float32(factor)
    shapes[..., :2] *= np.float32(factor)
    colors = arrays["lamp_colors"] * np.float32(factor**2)
    return {"lamp_matrices": places, "lamp_shapes": shapes, "lamp_colors": colors}
