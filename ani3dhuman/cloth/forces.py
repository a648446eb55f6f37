"""Wind and Blender's force fields on cloth: what each field does at a place, and how a sheet takes it.

Beside gravity, a strength of 1 presses on Blender's cloth with 20 pascals over the frame rate (measured in 5.0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ani3d_formats.shot import Shot
from ani3d_formats.shot_scene import FORCE_VALUES, PULLS, ForceField

from .noise import turbulence
from .surroundings import Sheet

PRESSURE = 20 / 24  # pascals a unit of a field's strength: Blender's at 24 frames a second, and here at any rate
STRANDS = 0.1  # kilograms a square metre of hair, as wind meets it
STRONGEST = 2000.0  # m/s^2; no wind presses harder, and the solver stays whole


@dataclass(frozen=True)
class Fields:
    """The force fields of a shot.

    Attributes:
        kinds: (W) what each is.
        poses: (T,W,4,4); values: (T,W,14), columns `FORCE_VALUES`; one frame where nothing changes.
        fps: scene frames a second.
        pulls: (P,W) how much of each field reaches each particle; None for all of it.
    """

    kinds: tuple[ForceField, ...]
    poses: np.ndarray
    values: np.ndarray
    fps: float
    pulls: np.ndarray | None = None

    @classmethod
    def of_shot(cls, shot: Shot) -> Fields | None:
        """The fields of a shot that are ever stronger than 0; None without any."""
        if not shot.meta.forces:
            return None
        values = shot["force_values"]
        columns = [FORCE_VALUES.index(name) for name in ("strength", "linear_drag", "quadratic_drag", "noise", "flow")]
        acting = (values[..., columns] != 0).reshape(-1, values.shape[-2], len(columns)).any((0, 2))
        chosen = np.flatnonzero(acting)
        if len(chosen) == 0:
            return None
        kinds = tuple(shot.meta.forces[n] for n in chosen)
        poses = shot["force_poses"].reshape(-1, *shot["force_poses"].shape[-3:])[:, chosen]
        values = values.reshape(-1, *values.shape[-2:])[:, chosen]
        return cls(kinds, poses, values, shot.meta.fps, _pulls(shot, kinds))

    def part(self, rows: np.ndarray) -> Fields:
        """The same on particles `rows` alone."""
        return self if self.pulls is None else replace(self, pulls=self.pulls[rows])

    def played(self, frames: np.ndarray) -> Fields:
        """The same over frames (T',) of the shot."""
        poses, values = (a if len(a) == 1 else a[frames] for a in (self.poses, self.values))
        return replace(self, poses=poses, values=values)

    def accelerations(self, frame: float, x: np.ndarray, v: np.ndarray, sheet: Sheet) -> np.ndarray:
        """See `Surroundings.accelerations`."""
        free, along = np.zeros(x.shape), np.zeros(x.shape)  # pushes at each particle, and winds that surfaces feel
        slowed = np.zeros(len(x))
        poses, values = _at(self.poses, frame), _at(self.values, frame)
        for number, kind in enumerate(self.kinds):
            field = Field(
                kind, poses[number].astype(np.float64), dict(zip(FORCE_VALUES, values[number].tolist(), strict=True))
            )
            share = 1.0 if self.pulls is None else self.pulls[:, number, None]
            push, drag = field.at(x, v, int(frame))
            free += push * share * (1 - field.value["surface"])
            along += push * share * field.value["surface"]
            slowed += drag * np.reshape(share, -1)
        total = self._carried(free, along, x, sheet)
        density = _densities(x, sheet)
        lost = 1 - np.exp(-np.minimum(PRESSURE * slowed / density / self.fps, 50))  # in a frame
        total -= (lost * self.fps)[:, None] * v
        size = np.linalg.norm(total, axis=1, keepdims=True)
        return total * np.minimum(1, STRONGEST / np.maximum(size, 1e-9))

    def _carried(self, free: np.ndarray, along: np.ndarray, x: np.ndarray, sheet: Sheet) -> np.ndarray:
        """Accelerations (P,3) of pushes (P,3) a unit of area, and of winds (P,3) by how much faces stand in them."""
        if len(sheet.faces) == 0:
            return PRESSURE * (free + along) / STRANDS
        corners = x[sheet.faces].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        size = np.maximum(np.linalg.norm(normals, axis=1), 1e-12)[:, None]
        normals, thirds = normals / size, size / 6  # of a face's area
        pushes = free[sheet.faces]
        pressed = np.einsum("fck,fk->fc", along[sheet.faces], normals)[..., None] * normals[:, None]
        each = (pushes + pressed) * thirds[..., None]
        each = (each + each.sum(1, keepdims=True)) / 4  # a quarter at its own corner, the rest over all three
        total = np.stack([np.bincount(sheet.faces.ravel(), each[..., k].ravel(), len(x)) for k in range(3)], 1)
        return PRESSURE * total / sheet.masses[:, None]


@dataclass(frozen=True)
class Field:
    """One field at one moment: `pose` (4,4), `value` by the names of `FORCE_VALUES`."""

    kind: ForceField
    pose: np.ndarray
    value: dict[str, float]

    @cached_property
    def axis(self) -> np.ndarray:
        z = self.pose[:3, 2]
        return z / max(float(np.linalg.norm(z)), 1e-12)

    def at(self, x: np.ndarray, v: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The push (P,3) on places (P,3) that move with (P,3), and the coefficients (P,) of what slows them."""
        unit = self.value["unit"] if self.value["unit"] > 0 else 1.0
        x, v = x / unit, v / unit
        middle = self.pose[:3, 3] / unit
        arm = x - middle
        height = arm @ self.axis
        if self.kind.shape == "line" or (self.kind.shape == "plane" and self.kind.kind == "vortex"):
            away = arm - height[:, None] * self.axis
        elif self.kind.shape == "plane":
            away = height[:, None] * self.axis
        else:
            away = arm
        distance = np.linalg.norm(away, axis=1)
        falloff = self._falloff(arm, height, distance)
        push, drag = self._push(arm, away, distance, v, frame, falloff)
        if self.kind.kind not in ("drag", "harmonic"):
            drag = drag + self.value["flow"] * falloff
        return push, drag

    def _push(
        self, arm: np.ndarray, away: np.ndarray, distance: np.ndarray, v: np.ndarray, frame: int, falloff: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        value, kind, still = self.value, self.kind.kind, np.zeros(len(arm))
        strength = np.full(len(arm), value["strength"])
        if value["noise"] > 0:
            gusts = np.random.default_rng((self.kind.seed, frame)).uniform(-1, 1, len(arm))
            strength = strength + value["noise"] * gusts
        strong = (strength * falloff)[:, None]
        if kind == "wind":
            return strong * self.axis, still
        if kind == "force":
            inverse = np.maximum(distance, 1e-6)[:, None]
            return strong * away / inverse / (inverse**2 if self.kind.gravitation else 1), still
        if kind == "vortex":
            around = np.cross(self.axis, away if self.kind.shape == "point" else arm)
            if self.kind.shape == "point":
                around /= np.maximum(np.linalg.norm(around, axis=1, keepdims=True), 1e-9)
                return strong * distance[:, None] * around, still
            spin = strong * around
            return strong * np.cross(self.axis, spin) + spin, falloff * 0 + 1
        if kind == "turbulence":
            places = arm + self.axis if not self.kind.in_world else arm + self.pose[:3, 3] / max(value["unit"], 1e-12)
            turns = [turbulence(np.roll(places, -k, axis=1), value["size"], self.kind.seed) for k in range(3)]
            return strong * np.stack(turns, 1), still
        if kind == "harmonic":
            rest = (1 - max(value["size"], 0) / np.maximum(distance, 1e-6))[:, None]
            damping = 2 * value["linear_drag"] * np.sqrt(np.abs(value["strength"]))
            return -strong * away * rest, still + damping
        speed = np.linalg.norm(v, axis=1)  # drag
        linear, quadratic = (min(value[name], 2.0) for name in ("linear_drag", "quadratic_drag"))
        return np.zeros(arm.shape), falloff * (linear + quadratic * speed)

    def _falloff(self, arm: np.ndarray, height: np.ndarray, distance: np.ndarray) -> np.ndarray:
        value, kind = self.value, self.kind
        if kind.falloff == "sphere":
            share = _fallen(distance, value["least"], value["most"], value["power"])
        else:
            share = _fallen(np.abs(height), value["least"], value["most"], value["power"])
            side = np.linalg.norm(arm - height[:, None] * self.axis, axis=1)
            if kind.falloff == "cone":
                side = np.degrees(np.arctan2(side, height))
            share = share * _fallen(side, value["side_least"], value["side_most"], value["side_power"])
        if kind.side == "both":
            return share
        return np.where(height >= 0 if kind.side == "positive" else height <= 0, share, 0)


def _fallen(distance: np.ndarray, least: float, most: float, power: float) -> np.ndarray:
    """(1 + d)^-power with d counted from `least`, 1 before it, 0 beyond `most`; -1 for no such limit."""
    from_there = np.maximum(distance - max(least, 0), 0)
    share = np.power(1 + from_there, -power)
    return np.where(distance > most, 0, share) if most >= 0 else share


def _pulls(shot: Shot, kinds: tuple[ForceField, ...]) -> np.ndarray | None:
    """How much of fields of these kinds (W) reaches each vertex of a shot: (V,W), or None for all of it."""
    if "cloth_pulls" not in shot.arrays:
        return None
    columns = [PULLS.index(kind.kind) for kind in kinds]
    share = shot["cloth_pulls"][:, :1] * shot["cloth_pulls"][:, columns]
    return np.repeat(share, [item.vertex_count for item in shot.meta.objects], axis=0)


def _at(array: np.ndarray, frame: float) -> np.ndarray:
    """The values of an array (T,W,...) at a frame, linear between frames; the last one's after it."""
    first = int(min(max(frame, 0), len(array) - 1))
    second = min(first + 1, len(array) - 1)
    share = min(max(frame - first, 0.0), 1.0)
    return (1 - share) * array[first] + share * array[second]


def _densities(x: np.ndarray, sheet: Sheet) -> np.ndarray | float:
    """Kilograms a square metre (P,) of particles."""
    if len(sheet.faces) == 0:
        return STRANDS
    areas = Sheet.of(sheet.faces, x.astype(np.float64), 1.0).masses
    return sheet.masses / np.maximum(areas, 1e-12)
