"""A dog made of round pieces that pass into each other, as kit-bashed characters do; metres, facing -Y."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from cloth_truth.bodies import Body, Skeleton
from cloth_truth.garments import Part, grid_quads, smoothstep

from .acting import stand
from .wardrobe import part, tube

# name -> parent, head, tail, radius; the left side stands for both
BONES = {
    "hips": ("", (0, 0.32, 0.55), (0, 0.1, 0.57), 0.125),
    "chest": ("hips", (0, 0.1, 0.57), (0, -0.3, 0.6), 0.135),
    "neck": ("chest", (0, -0.3, 0.6), (0, -0.44, 0.78), 0.075),
    "head": ("neck", (0, -0.44, 0.78), (0, -0.66, 0.75), 0.07),
    "tail": ("hips", (0, 0.34, 0.58), (0, 0.66, 0.72), 0.025),
    "front_upper.L": ("chest", (0.085, -0.27, 0.54), (0.085, -0.25, 0.28), 0.05),
    "front_lower.L": ("front_upper.L", (0.085, -0.25, 0.28), (0.085, -0.27, 0.03), 0.032),
    "hind_upper.L": ("hips", (0.085, 0.3, 0.54), (0.085, 0.25, 0.28), 0.06),
    "hind_lower.L": ("hind_upper.L", (0.085, 0.25, 0.28), (0.085, 0.31, 0.03), 0.032),
}
PIECES = (("hips", "chest"), ("neck",), ("head",), ("tail",), *((name,) for name in BONES if name.endswith(".L")))


def dog() -> Body:
    """Its skeleton, skin and weights; a piece has the weights of its own bones and blends between them."""
    bones = dict(BONES)
    for name, (parent, head, tail, radius) in BONES.items():
        if name.endswith(".L"):
            ends = [(-x, y, z) for x, y, z in (head, tail)]
            bones[name.replace(".L", ".R")] = (parent.replace(".L", ".R"), ends[0], ends[1], radius)
    names = tuple(bones)
    skeleton = Skeleton(
        names,
        np.array([names.index(entry[0]) if entry[0] else -1 for entry in bones.values()]),
        np.array([entry[1] for entry in bones.values()], float),
        np.array([entry[2] for entry in bones.values()], float),
        np.tile([1.0, 0, 0], (len(names), 1)),
    )
    points, quads, weights, start = [], [], [], 0
    sided = [p for piece in PIECES for p in ({piece, tuple(n.replace(".L", ".R") for n in piece)})]
    for piece in sorted(sided):
        own = [names.index(name) for name in piece]
        path = np.concatenate([skeleton.heads[own], skeleton.tails[own[-1:]]])
        skin, faces, far = _capsule(path, bones[piece[0]][3])
        blend = np.zeros((len(skin), len(names)))
        share = smoothstep((far - 0.35) / 0.3) if len(own) > 1 else np.zeros(len(skin))
        blend[:, own[0]] += 1 - share
        blend[:, own[-1]] += share
        points.append(skin)
        quads.append(faces + start)
        weights.append(blend)
        start += len(skin)
    placed, bound = np.concatenate(points), np.concatenate(weights)
    none = np.zeros(len(placed), bool)
    faces = np.concatenate(quads)
    return Body(
        skeleton, placed, faces, bound, none, none, none, none, none * 0.0, np.zeros((2, 3)), np.ones(len(faces), bool)
    )


def _capsule(path: np.ndarray, radius: float, columns: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, quads and the share (P,) of the way along a closed round piece about `path` (N,3)."""
    along = path[-1] - path[0]
    length = np.linalg.norm(along)
    caps = np.cos(np.linspace(0.2, np.pi / 2, 6)[:-1])
    at = np.concatenate(
        [-caps * radius, np.linspace(0, length, max(4, round(length / 0.025))), (caps * radius)[::-1] + length]
    )
    wide = np.concatenate([np.sqrt(1 - caps**2), np.ones(len(at) - 10), np.sqrt(1 - caps**2)[::-1]]) * radius
    order = np.argsort(at, kind="stable")
    centres = path[0] + at[order, None] * along / length
    skin, quads = tube(centres, wide[order], columns)
    ends = np.stack([centres[0] - 0.02 * radius * along / length, centres[-1] + 0.02 * radius * along / length])
    first, last, low, high = np.arange(columns), len(skin) - columns + np.arange(columns), len(skin), len(skin) + 1
    caps_low = np.stack([np.roll(first, -1), first, np.full(columns, low), np.full(columns, low)], 1)
    caps_high = np.stack([last, np.roll(last, -1), np.full(columns, high), np.full(columns, high)], 1)
    far = np.concatenate([np.repeat(at[order] / length, columns), [0, 1]])
    return np.concatenate([skin, ends]), np.concatenate([quads, caps_low, caps_high]), far


def gallop(body: Body, frames: int, fps: float) -> np.ndarray:
    """(T,B,4,4) transforms of a run of 2.4 m/s: front legs, hind legs and back in turn."""
    phase = 2 * np.pi * 1.8 * np.arange(frames) / fps
    names = body.skeleton.names
    turns = np.zeros((frames, len(names), 3))
    for side, late in (("L", 0.0), ("R", 0.5)):
        front, hind = np.sin(phase + late), np.sin(phase + np.pi + late)
        turns[:, names.index(f"front_upper.{side}"), 0] = 0.65 * front
        turns[:, names.index(f"front_lower.{side}"), 0] = -0.5 * np.maximum(np.cos(phase + late), 0)
        turns[:, names.index(f"hind_upper.{side}"), 0] = 0.6 * hind
        turns[:, names.index(f"hind_lower.{side}"), 0] = 0.6 * np.maximum(np.cos(phase + np.pi + late), 0)
    turns[:, names.index("hips"), 0] = 0.16 * np.sin(phase + 0.6)
    turns[:, names.index("chest"), 0] = -0.2 * np.sin(phase + 0.6)
    turns[:, names.index("head"), 0] = 0.12 * np.sin(phase)
    turns[:, names.index("tail"), 2] = 0.5 * np.sin(2 * phase)
    matrices = Rotation.from_euler("xyz", turns.reshape(-1, 3)).as_matrix().reshape(frames, len(names), 3, 3)
    way = np.stack([np.zeros(frames), -2.4 * np.arange(frames) / fps, np.zeros(frames)], 1)
    return stand(body, matrices, way, 0.06 * np.maximum(np.sin(phase + 1.2), 0))


def blanket(body: Body, spacing: float = 0.02) -> Part:
    """A sheet over the dog's back, held along its front edge."""
    along = np.linspace(-0.26, 0.34, round(0.6 / spacing))
    around = np.radians(np.linspace(-112, 112, round(0.62 / spacing)))
    centre = np.interp(along, [-0.3, 0.1, 0.32], [0.6, 0.57, 0.55])[:, None]
    radius = 0.152
    drop = np.maximum(np.abs(around) - np.pi / 2, 0) * radius
    x = radius * np.sin(np.clip(around, -np.pi / 2, np.pi / 2)) * (1 + 0.15 * drop / 0.06)
    z = centre + radius * np.cos(np.clip(around, -np.pi / 2, np.pi / 2)) - drop
    points = np.stack([np.broadcast_to(x, z.shape), np.broadcast_to(along[:, None], z.shape), z], -1).reshape(-1, 3)
    quads = grid_quads(len(along), len(around), closed=False)[:, ::-1]
    pins = np.repeat(1 - smoothstep((along - along[0] - 0.02) / 0.03), len(around))
    weights = np.zeros((len(points), len(body.skeleton.names)))
    front = np.repeat(1 - smoothstep((along - 0.02) / 0.16), len(around))
    weights[:, body.skeleton.index("chest")], weights[:, body.skeleton.index("hips")] = front, 1 - front
    return part("blanket", points, quads, pins, weights)
