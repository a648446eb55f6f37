"""Ten builds of the demo's CC0 human, as arrays: skeleton, skin weights, and the shape that cloth collides with.

World is Blender's: Z up, metres, feet on z = 0; she faces -Y in bind pose, her left is +X.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

HUMAN = Path(__file__).parents[1] / "examples" / "demo" / "human.npz"
INFLUENCES = 4
ARMS = ("clavicle", "shoulder", "upperarm", "lowerarm", "hand")
BODY_CELL, HEAD_CELL = 0.015, 0.006  # metres: vertices of one cell are merged


@dataclass(frozen=True)
class Build:
    """Factors on the base human: width, depth and height of all; width of hips and chest; length of the legs."""

    wide: float = 1.0
    deep: float = 1.0
    tall: float = 1.0
    hips: float = 1.0
    chest: float = 1.0
    legs: float = 1.0


BUILDS: dict[str, Build] = {
    "medium": Build(),
    "slim": Build(0.92, 0.93, 1.02, 0.97, 0.98),
    "tall": Build(0.98, 0.99, 1.06, 1.0, 1.0, 1.03),
    "small": Build(0.97, 0.98, 0.92, 1.0, 1.0, 0.98),
    "pear": Build(1.0, 1.04, 0.98, 1.1, 0.97, 0.99),
    "sturdy": Build(1.1, 1.12, 0.98, 1.05, 1.04, 0.98),
    "athletic": Build(1.03, 1.0, 1.03, 0.97, 1.07, 1.02),
    "soft": Build(1.05, 1.14, 0.95, 1.08, 1.02, 0.97),
    "lanky": Build(0.94, 0.95, 1.08, 0.95, 1.0, 1.05),
    "stocky": Build(1.12, 1.08, 0.91, 1.06, 1.06, 0.96),
}


@dataclass(frozen=True)
class Skeleton:
    """Bones in bind pose: heads, tails, x_axes (B,3) world; parents (B,), -1 for the root, before their children."""

    names: tuple[str, ...]
    parents: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    x_axes: np.ndarray

    def index(self, name: str) -> int:
        return self.names.index(name)

    def rest(self) -> np.ndarray:
        """(B,4,4) world matrices of the bones, local +Y along the bone."""
        y = self.tails - self.heads
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
        x = self.x_axes - y * (self.x_axes * y).sum(1, keepdims=True)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        rest = np.tile(np.eye(4), (len(y), 1, 1))
        rest[:, :3, :3] = np.stack([x, y, np.cross(x, y)], axis=2)
        rest[:, :3, 3] = self.heads
        return rest


@dataclass(frozen=True)
class Body:
    """A body in bind pose.

    Attributes:
        skeleton: its bones.
        vertices: (V,3); quads: (F,4), a triangle repeats its last corner; weights: (V,B), rows sum to 1.
        head, arms, feet, eyes: (V,) bool.
        lips: (V,) 0..1.
        eye_centres: (2,3).
        faces_out: (F,) bool, faces that cloth can meet (no eyes).
    """

    skeleton: Skeleton
    vertices: np.ndarray
    quads: np.ndarray
    weights: np.ndarray
    head: np.ndarray
    arms: np.ndarray
    feet: np.ndarray
    eyes: np.ndarray
    lips: np.ndarray
    eye_centres: np.ndarray
    faces_out: np.ndarray

    @property
    def height(self) -> float:
        return float(self.vertices[:, 2].max())

    @property
    def trunk(self) -> np.ndarray:
        """(V,) bool: neither head nor arms."""
        return ~self.arms & ~self.head


def make_body(name: str, path: Path = HUMAN) -> Body:
    """One of `BUILDS`, simplified to what pictures of 416 rows can show."""
    with np.load(path) as file:
        human = {key: file[key] for key in file.files}
    build = BUILDS[name]
    original = human["vertices"].astype(np.float64)
    names = tuple(str(n) for n in human["bone_names"])
    heads, tails = (human[f"bone_{end}"].astype(np.float64) for end in ("heads", "tails"))
    skeleton = Skeleton(
        names,
        human["bone_parents"].astype(int),
        _shape(heads, build),
        _shape(tails, build),
        human["bone_x_axes"].astype(np.float64),
    )
    dense = np.zeros((len(original), len(names)))
    np.put_along_axis(dense, human["weight_indices"].astype(int), human["weight_values"].astype(float), 1)
    dense /= dense.sum(1, keepdims=True)

    part_names = [str(n) for n in human["part_names"]]
    kept = human["parts"] != part_names.index("lashes")
    quads, parts = human["quads"][kept].astype(np.int64), human["parts"][kept]
    is_eye = np.zeros(len(original))
    is_eye[quads[parts != part_names.index("body")]] = 1
    lips = _lips(human, kept, len(original))
    values = np.concatenate([_shape(original, build), dense, lips[:, None], is_eye[:, None]], axis=1)
    cell = np.where(dense[:, names.index("head")] > 0.5, HEAD_CELL, BODY_CELL)
    values, quads = _merge(values, quads, np.column_stack([np.floor(original / cell[:, None]), is_eye]))
    vertices, weights = values[:, :3], values[:, 3 : 3 + len(names)]
    eyes = values[:, -1] > 0.5
    centres = np.stack([vertices[eyes & (vertices[:, 0] * side > 0)].mean(0) for side in (1, -1)])
    return Body(
        skeleton,
        vertices,
        quads,
        weights,
        weights[:, names.index("head")] > 0.5,
        _weight_of(weights, names, *ARMS) > 0.35,
        _weight_of(weights, names, "foot", "toes") > 0.5,
        eyes,
        values[:, -2],
        centres,
        ~eyes[quads].any(1),
    )


def _weight_of(weights: np.ndarray, names: tuple[str, ...], *stems: str) -> np.ndarray:
    """(V,) summed weight of the bones whose name without its side is one of `stems`."""
    return weights[:, [i for i, name in enumerate(names) if name.partition(".")[0] in stems]].sum(1)


def _shape(points: np.ndarray, build: Build) -> np.ndarray:
    """Points (P,3) of the base human moved to where the build has them; smooth in space, so bones go along."""
    x, y, z = points.T
    hips = 1 + (build.hips - 1) * np.exp(-(((z - 0.93) / 0.16) ** 2))
    chest = 1 + (build.chest - 1) * np.exp(-(((z - 1.32) / 0.14) ** 2))
    crotch = 0.86
    stretched = np.minimum(z, crotch) * build.legs + np.maximum(z - crotch, 0)
    return np.stack([x * build.wide * hips * chest, y * build.deep * hips, stretched * build.tall], axis=1)


def _lips(human: dict[str, np.ndarray], kept: np.ndarray, count: int) -> np.ndarray:
    """(V,) 0..1 from the mask over the head's texture."""
    uvs = human["texture_coordinates"].astype(np.float64)[human["texture_corners"].astype(int)[kept]]
    left, bottom, right, top = human["head_window"].astype(np.float64)
    uvs = (uvs - [left, bottom]) / [right - left, top - bottom]
    inside = ((uvs > 0) & (uvs < 1)).all((1, 2)) & (human["parts"][kept] == 0)
    mask = human["lips"] / 255.0
    pixel = np.clip((uvs[inside] * mask.shape[0]).astype(int), 0, mask.shape[0] - 1)
    lips = np.zeros(count)
    corners = human["quads"].astype(int)[kept][inside]
    np.maximum.at(lips, corners, mask[mask.shape[0] - 1 - pixel[..., 1], pixel[..., 0]])
    return lips


def _merge(values: np.ndarray, quads: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of vertex values (V,K) over vertices with equal keys (V,D), and the faces that are left of `quads`."""
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    count = np.bincount(group)
    merged = np.stack([np.bincount(group, column) / count for column in values.T], axis=1)
    faces = group[quads]
    distinct = np.array([len(np.unique(face)) for face in faces])
    whole = faces[distinct == 4]
    folded = []
    for face in faces[distinct == 3]:
        corners = face[np.sort(np.unique(face, return_index=True)[1])]
        folded.append(corners[[0, 1, 2, 2]])
    return merged, np.concatenate([whole, np.array(folded, int).reshape(-1, 4)])


def triangles(quads: np.ndarray) -> np.ndarray:
    """(F,3) triangles of quads (Q,4); a quad that repeats its last corner gives one."""
    second = quads[quads[:, 2] != quads[:, 3]]
    return np.concatenate([quads[:, [0, 1, 2]], second[:, [0, 2, 3]]])


def sparse_weights(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest influences of weights (V,B): indices (V,4) int32 and values (V,4) float32, rows sum to 1."""
    indices = np.argsort(-dense, axis=1, kind="stable")[:, :INFLUENCES]
    values = np.take_along_axis(dense, indices, 1)
    return indices.astype(np.int32), (values / values.sum(1, keepdims=True)).astype(np.float32)
