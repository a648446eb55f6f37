"""The person of the demo as plain arrays: what human.npz holds, cut into parts a Blender mesh can be made of.

Everything about her is numpy; build_scene.py alone knows Blender. World is Blender's: Z up, metres, feet on z = 0, she
faces -Y, so her left is +X.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HUMAN = Path(__file__).with_name("human.npz")
ARM_BONES = ("shoulder", "upperarm", "lowerarm", "hand")


@dataclass(frozen=True)
class Skeleton:
    """Bones in rest: heads, tails, x_axes (B,3) world; parents (B,) index or -1, always before their children."""

    names: tuple[str, ...]
    parents: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    x_axes: np.ndarray

    def index(self, name: str) -> int:
        return self.names.index(name)


@dataclass(frozen=True)
class Part:
    """A mesh object: quads only.

    vertices (V,3) world; quads (F,4); corner_uvs (F,4,2), v up; materials: names, face_materials (F,) index into them;
    weights (V,B) over the skeleton, rows sum to 1; groups: further vertex groups, name -> (V,) 0..1.
    """

    name: str
    vertices: np.ndarray
    quads: np.ndarray
    corner_uvs: np.ndarray
    materials: tuple[str, ...]
    face_materials: np.ndarray
    weights: np.ndarray
    groups: dict[str, np.ndarray] = field(default_factory=dict)

    def vertices_of(self, material: str) -> np.ndarray:
        """(V,) bool: the vertices that faces of `material` use."""
        chosen = np.zeros(len(self.vertices), bool)
        chosen[self.quads[self.face_materials == self.materials.index(material)]] = True
        return chosen


@dataclass(frozen=True)
class Human:
    """The baked person. `eyes` gives each eye's (centre (3,), radius).

    lips (512,512) 0..1 over the Head texture; nails (512,512) 0..1 over the lowest quarter of the Skin texture.
    """

    skeleton: Skeleton
    body: Part
    lips: np.ndarray
    nails: np.ndarray
    eyes: dict[str, tuple[np.ndarray, float]]


def bone_weight(weights: np.ndarray, skeleton: Skeleton, *stems: str) -> np.ndarray:
    """(V,) summed weight of the bones whose name without its side is one of `stems`."""
    chosen = [i for i, name in enumerate(skeleton.names) if name.partition(".")[0] in stems]
    return weights[:, chosen].sum(1)


def load_human(path: Path = HUMAN) -> Human:
    """Read human.npz and split its faces by material: Skin, Head, Eyes, Lashes."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    skeleton = Skeleton(
        tuple(str(name) for name in arrays["bone_names"]),
        arrays["bone_parents"].astype(int),
        arrays["bone_heads"].astype(float),
        arrays["bone_tails"].astype(float),
        arrays["bone_x_axes"].astype(float),
    )
    vertices = arrays["vertices"].astype(float)
    quads = arrays["quads"].astype(np.int64)
    part_names = [str(name) for name in arrays["part_names"]]
    part = arrays["parts"]
    uvs = arrays["texture_coordinates"].astype(float)[arrays["texture_corners"].astype(int)]

    weights = np.zeros((len(vertices), len(skeleton.names)))
    np.put_along_axis(weights, arrays["weight_indices"].astype(int), arrays["weight_values"].astype(float), 1)
    weights /= weights.sum(1, keepdims=True)

    left, bottom, right, top = arrays["head_window"].astype(float)
    centre = uvs.mean(1)
    in_head = (centre[:, 0] > left) & (centre[:, 1] > bottom) & (centre[:, 1] < top)
    materials = ("Skin", "Head", "Eyes", "Lashes")
    face_materials = np.where((part == part_names.index("body")) & in_head, 1, 0)
    uvs = np.where((face_materials == 1)[:, None, None], (uvs - [left, bottom]) / [right - left, top - bottom], uvs)
    eyes = {}
    for side in ("eye.L", "eye.R"):
        chosen = part == part_names.index(side)
        ball = vertices[np.unique(quads[chosen])]
        middle = (ball.max(0) + ball.min(0)) / 2
        radius = float(ball[:, 2].max() - ball[:, 2].min()) / 2
        eyes[side] = (middle, radius)
        face_materials[chosen] = 2
        uvs[chosen] = ((vertices[quads[chosen]] - middle)[..., [0, 2]] / radius) * 0.48 + 0.5
    face_materials[part == part_names.index("lashes")] = 3

    face = bone_weight(weights, skeleton, "head") > 0.5
    body = Part(
        "Body",
        vertices,
        quads,
        uvs,
        materials,
        face_materials,
        weights,
        {"ani3d_face": face.astype(float), "ani3d_body": (~face).astype(float)},
    )
    lips, nails = (arrays[name].astype(float) / 255 for name in ("lips", "nails"))
    return Human(skeleton, body, lips, nails, eyes)
