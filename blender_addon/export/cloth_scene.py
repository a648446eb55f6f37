# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scene does to a character's cloth, read while the shot is played: colliders, gravity, forces, wishes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import bpy
import numpy as np

from ani3d_formats.shot_scene import FORCE_VALUES, PULLS

from ..properties import object_group
from ..sentence import said
from . import forces
from .cloth_settings import own_cloth
from .colliders import Collider, collider_arrays, colliders_of
from .figure import Figure

STAY_GROUP = "ani3d_stay"
DOWN = (0.0, 0.0, -9.81)
REAL_DENSITY = 0.15  # kilograms a square metre, of cloth; Blender's has a mass for each vertex instead
_DRAG = [FORCE_VALUES.index(name) for name in ("strength", "flow", "noise", "linear_drag", "quadratic_drag")]


class ClothScene:
    """The scene around the cloth of a `figure`, over so many frames."""

    def __init__(
        self,
        context: bpy.types.Context,
        figure: Figure,
        character: Collection[bpy.types.Object],
        frames: int,
        warn: Callable[[str], None],
    ) -> None:
        self._scene, self._figure, self._warn = context.scene, figure, warn
        layer = context.view_layer
        self._colliders = [Collider.of(item, frames) for item in colliders_of(layer, character)]
        self._fields = forces.fields_of(layer, warn)
        self._names = [item.name for item in self._fields]
        self._kinds = [forces.entry(item) for item in self._fields]
        self._gravity = np.zeros((frames, 3))
        self._poses = np.zeros((frames, len(self._fields), 4, 4))
        self._values = np.zeros((frames, len(self._fields), len(FORCE_VALUES)))
        self._strength = np.ones((frames, len(figure.members)))

    def read(self, row: int, depsgraph: bpy.types.Depsgraph) -> None:
        """Read a frame of the shot."""
        for collider in self._colliders:
            collider.read(row, depsgraph, self._warn)
        if self._scene.use_gravity:
            self._gravity[row] = self._scene.gravity[:]
        for number, item in enumerate(self._fields):
            try:
                evaluated = item.evaluated_get(depsgraph)
                self._poses[row, number] = np.array(evaluated.matrix_world, np.float64)
                self._values[row, number] = forces.values_of(evaluated.field)
            except ReferenceError:
                self._values[row, number, FORCE_VALUES.index("unit")] = 1.0
                if row and self._values[row - 1, number, _DRAG].any():
                    self._warn(
                        said("Force field '{name}' was deleted while the scene was read.", name=self._names[number])
                    )
        for number, member in enumerate(self._figure.members):
            self._strength[row, number] = object_group(member.item.evaluated_get(depsgraph)).strength

    def entries(self) -> dict[str, Any]:
        """What the shot's metadata says of it."""
        start, told = 0, []
        for collider in self._there:
            told.append(collider.entry(start))
            start += len(collider.vertices)
        found: dict[str, Any] = {"colliders": told} if told else {}
        return found | ({"forces": self._kinds} if self._fields else {})

    def arrays(self, origin: np.ndarray) -> dict[str, np.ndarray]:
        """Its arrays, relative to `origin` (3,) world metres; none of what is as usual."""
        arrays = collider_arrays(self._there, origin)
        if not np.allclose(self._gravity, DOWN, atol=1e-4):
            arrays["gravity"] = _thinned(self._gravity)
        if self._fields:
            self._poses[..., :3, 3] -= origin
            arrays |= {"force_poses": _thinned(self._poses), "force_values": _thinned(self._values)}
            for number, item in enumerate(self._fields):
                if item.name in self._names:
                    forces.warn_of_strong(item, float(np.abs(self._values[:, number, _DRAG]).max()), self._warn)
        if (self._strength != 1).any():
            arrays["cloth_strength"] = _thinned(self._strength)
        pulls = np.array([_pulls(self._figure, number) for number in range(len(self._figure.members))])
        if (pulls != 1).any():
            arrays["cloth_pulls"] = pulls
        painted = [group.get(STAY_GROUP) for group in self._figure.labelling.painted]
        if any(each is not None for each in painted):
            counts = np.diff(self._figure.starts)
            none = [np.zeros(count, np.float32) for count in counts]
            arrays["stay_weights"] = np.concatenate(
                [other if each is None else each for each, other in zip(painted, none, strict=True)]
            )
        return arrays

    @property
    def _there(self) -> list[Collider]:
        return [each for each in self._colliders if not each.left_out and len(each.vertices)]


def _thinned(values: np.ndarray) -> np.ndarray:
    """(T,...) as it is, or its first frame (...) where nothing changes."""
    return values if (values != values[:1]).any() else values[0]


def _pulls(figure: Figure, number: int) -> list[float]:
    """How much of each force reaches an object's cloth: by the weights and the mass of its own Cloth modifier.

    Blender's cloth has a mass a vertex, so that fine meshes are heavy; winds that were set up for it are weakened so
    that they do to real cloth what they did to that.
    """
    modifier = own_cloth(figure.members[number].item)
    if modifier is None:
        return [1.0] * len(PULLS)
    weights, rows = modifier.settings.effector_weights, figure.rows(number)
    faces = figure.faces[(figure.faces[:, 0] >= rows.start) & (figure.faces[:, 0] < rows.stop)]
    a, b, c = (figure.vertices[faces[:, k]] for k in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    heavier = max(modifier.settings.mass * (rows.stop - rows.start) / max(area, 1e-9) / REAL_DENSITY, 1.0)
    found = {name: float(getattr(weights, name)) for name in PULLS}
    return [found[name] / (1.0 if name in ("all", "gravity") else heavier) for name in PULLS]
