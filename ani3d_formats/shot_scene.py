"""What of the scene acts on a shot's cloth: colliders, gravity, wind and force fields, and an artist's wishes.

All of it is optional. Every array with a first axis ``T?`` has frames there where something moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from .errors import Ani3DError
from .typed import FILLED, between, one_of

FRAMES = "T?"  # an axis that is there only where something changes from frame to frame
_MOST = 1 << 31
WINDS = ("wind", "force", "vortex", "turbulence", "drag", "harmonic")
PULLS = ("all", "gravity", *WINDS)  # columns of `cloth_pulls`
FORCE_VALUES = (
    "strength", "flow", "linear_drag", "quadratic_drag", "noise", "size", "surface",
    "power", "least", "most", "side_power", "side_least", "side_most", "unit",
)  # fmt: skip
"""Columns of `force_values`; distances in metres, -1 for no limit. `surface`: share of the force that acts along the
cloth's normal alone; `unit`: the length that the formulas take for one metre."""
_LENGTHS = ("size", "least", "most", "side_least", "side_most", "unit")

SCENE_ARRAYS: dict[str, tuple[tuple[str | int, ...], str]] = {
    "collider_vertices": (("C", 3), "f"),
    "collider_faces": (("D", 3), "i"),
    "collider_poses": ((FRAMES, "N", 4, 4), "f"),
    "collider_recorded": (("T", "E", 3), "f"),
    "gravity": ((FRAMES, 3), "f"),
    "force_poses": ((FRAMES, "W", 4, 4), "f"),
    "force_values": ((FRAMES, "W", len(FORCE_VALUES)), "f"),
    "stay_weights": (("V",), "f"),
    "cloth_strength": ((FRAMES, "O"), "f"),
    "cloth_pulls": (("O", len(PULLS)), "f"),
}


@dataclass(frozen=True)
class Collider:
    """An object that cloth must not enter: `vertex_count` rows of `collider_vertices` from `vertex_start` on.

    Attributes:
        thickness: metres kept from it, added to the fabric's.
        friction: 0 slides, 1 sticks; -1 for what the fabric says.
        recorded: its vertices of every frame are in `collider_recorded`; else `collider_poses` moves it as a whole.
    """

    name: Annotated[str, FILLED]
    vertex_start: Annotated[int, between(0, _MOST)]
    vertex_count: Annotated[int, between(1, _MOST)]
    thickness: Annotated[float, between(0, 1e6)] = 0.0
    friction: Annotated[float, between(-1, 1)] = -1.0
    recorded: bool = False

    @property
    def rows(self) -> slice:
        """The collider's rows in `collider_vertices`."""
        return slice(self.vertex_start, self.vertex_start + self.vertex_count)


@dataclass(frozen=True)
class ForceField:
    """What kind of field a row of `force_poses` and `force_values` is, in Blender's terms.

    Attributes:
        kind: of `WINDS`; shape: "point", "plane" or "line" of the object's own Z axis.
        falloff: "sphere", "tube" or "cone"; side: of its XY plane, on which alone it acts.
        gravitation: the force falls with the distance squared as well.
        in_world: turbulence is counted from the world's origin, not the object's.
        seed: of its noise.
    """

    name: str
    kind: Annotated[str, one_of(*WINDS)]
    shape: Annotated[str, one_of("point", "plane", "line")] = "point"
    falloff: Annotated[str, one_of("sphere", "tube", "cone")] = "sphere"
    side: Annotated[str, one_of("both", "positive", "negative")] = "both"
    gravitation: bool = False
    in_world: bool = False
    seed: Annotated[int, between(0, _MOST)] = 0


def check_scene(
    colliders: tuple[Collider, ...], forces: tuple[ForceField, ...], objects: int, arrays: Mapping[str, np.ndarray]
) -> None:
    """Refuse a scene whose entries and arrays differ, with `Ani3DError` ``shot.bad_meta`` and such."""
    _check_colliders(colliders, arrays)
    for name, expected, what in (
        ("force_poses", len(forces), "meta.forces"),
        ("force_values", len(forces), "meta.forces"),
        ("cloth_strength", objects, "meta.objects"),
        ("cloth_pulls", objects, "meta.objects"),
    ):
        array = arrays.get(name)
        rows = 0 if array is None else array.shape[{"force_poses": -3, "cloth_strength": -1}.get(name, -2)]
        if rows != expected and (array is not None or name.startswith("force")):
            raise _bad("bad_meta", f"In the shot, {what} has {expected} entries, '{name}' has {rows}.")


def _check_colliders(colliders: tuple[Collider, ...], arrays: Mapping[str, np.ndarray]) -> None:
    there = arrays["collider_vertices"].shape[0] if "collider_vertices" in arrays else 0
    start = 0
    for number, item in enumerate(colliders):
        if item.vertex_start != start:
            raise _bad(
                "bad_meta",
                f"In the shot, meta.colliders[{number}].vertex_start is {item.vertex_start}; expected {start}.",
            )
        start += item.vertex_count
    if start != there:
        raise _bad("bad_meta", f"In the shot, meta.colliders have {start} vertices, 'collider_vertices' has {there}.")
    if colliders and (missing := {"collider_faces", "collider_poses"} - set(arrays)):
        raise _bad("missing_array", f"The shot has colliders but no '{min(missing)}'.")
    faces = arrays.get("collider_faces", np.zeros((0, 3), np.int32))
    if faces.size and not (faces.min() >= 0 and faces.max() < there):
        raise _bad("bad_index", f"'collider_faces' points outside 0..{there - 1}.")
    if colliders and arrays["collider_poses"].shape[-3] != len(colliders):
        count = arrays["collider_poses"].shape[-3]
        raise _bad("bad_meta", f"In the shot, meta.colliders has {len(colliders)} entries, 'collider_poses' {count}.")
    recorded = sum(item.vertex_count for item in colliders if item.recorded)
    shown = arrays["collider_recorded"].shape[1] if "collider_recorded" in arrays else 0
    if recorded != shown:
        raise _bad(
            "bad_meta", f"In the shot, {recorded} vertices of colliders are recorded, 'collider_recorded' has {shown}."
        )


def scaled_scene(arrays: Mapping[str, np.ndarray], factor: float) -> dict[str, np.ndarray]:
    """Colliders and fields of a scene that is `factor` times as large; what gravity and fields do stays the same."""
    found = {name: arrays[name] * np.float32(factor) for name in ("collider_recorded",) if name in arrays}
    for name in ("collider_poses", "force_poses"):
        if name in arrays:
            found[name] = arrays[name].copy()
            found[name][..., :3, 3] *= np.float32(factor)
    if "collider_vertices" in arrays:
        found["collider_vertices"] = arrays["collider_vertices"] * np.float32(factor)
    if "force_values" in arrays:
        values = found["force_values"] = arrays["force_values"].copy()
        columns = [FORCE_VALUES.index(name) for name in _LENGTHS]
        values[..., columns] = np.where(
            values[..., columns] > 0, values[..., columns] * np.float32(factor), values[..., columns]
        )
    return found


def _bad(code: str, message: str) -> Ani3DError:
    return Ani3DError(f"shot.{code}", message, "Export the shot again.")
