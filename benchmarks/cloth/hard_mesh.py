"""Sequences that are hard for the mesh, the size, the rate or the way a shot begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ani3d_formats.hair_ribbons import ribbon_faces, ribbons, root_pins
from ani3d_formats.regions import HAIR
from ani3d_formats.shot import Shot
from cloth_truth.garments import Part, grid_quads, smoothstep

from . import wardrobe
from .acting import HANGING, Key, act
from .animals import blanket, dog, gallop
from .registry import dress, person, sequence, strips, walk
from .shots import Worn, make_shot

TINY, GIANT = 0.0106, 106.0  # of 1.7 metres: 1.8 cm, 180 m


@sequence("dog_blanket", "a dog of round pieces that pass into each other gallops under a blanket")
def _dog(name: str) -> Shot:
    body = dog()
    return make_shot(name, body, gallop(body, 44, 24), [Worn(blanket(body), "wool")])


@sequence("root_jump", "a walk in dress and hair; between two frames the root jumps 5 m")
def _root_jump(name: str) -> Shot:
    moves = walk(36, seed=11)
    moves[18:, :, 0, 3] += 4.0
    moves[18:, :, 1, 3] -= 3.0
    return make_shot(name, person(), moves, [*(Worn(p) for p in dress("knee_aline", seed=14)), Worn(strips(14, "bob"))])


@sequence("far_start", "the first pose is far from rest: bent, arms up, a leg aside; then upright")
def _far_start(name: str) -> Shot:
    wild = {"upperleg.L": (1, -0.25, -0.1), "lowerleg.L": (0.9, -0.2, -0.5), "upperleg.R": (-0.1, -0.5, -0.9)}
    wild |= {"lowerleg.R": (-0.05, 0.6, -0.8), "upperarm": (0.4, 0.1, 1), "lowerarm": (0.2, -0.2, 1)}
    upright = {"upperleg.L": (0.05, 0, -1), "lowerleg.L": (0.05, 0.06, -1), "upperleg.R": (-0.05, 0, -1)}
    keys = [
        Key(0.0, wild, trunk=(58, 10, 25), turn=(0, 0, 150)),
        Key(0.9, upright | {"lowerleg.R": (-0.05, 0.06, -1)} | HANGING, trunk=(0, 0, 0)),
        Key(1.4),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 34), [Worn(p) for p in dress("knee_aline", seed=15)])


@sequence("fps_8", "the same walk with a turn at 8 frames a second")
def _fps_8(name: str) -> Shot:
    return _paced(name, 8.0, 24)


@sequence("fps_24", "the same walk with a turn at 24 frames a second")
def _fps_24(name: str) -> Shot:
    return _paced(name, 24.0, 40)


@sequence("fps_60", "the same walk with a turn at 60 frames a second")
def _fps_60(name: str) -> Shot:
    return _paced(name, 60.0, 60)


@sequence("fps_120", "the same walk with a turn at 120 frames a second")
def _fps_120(name: str) -> Shot:
    return _paced(name, 120.0, 84)


def _paced(name: str, fps: float, frames: int) -> Shot:
    worn = [Worn(p) for p in dress("knee_aline", seed=16)]
    return make_shot(name, person(), walk(frames, fps, "walk_turn", seed=12), worn, fps)


@sequence("tiny", "a person of 1.8 cm in dress and cape walks")
def _tiny(name: str) -> Shot:
    worn = [Worn(p) for p in dress("knee_short_cape", seed=17)]
    return make_shot(name, person(), walk(32, seed=13), worn, factor=TINY)


@sequence("giant", "a person of 180 m in dress and cape walks")
def _giant(name: str) -> Shot:
    worn = [Worn(p) for p in dress("knee_short_cape", seed=17)]
    return make_shot(name, person(), walk(32, seed=13), worn, factor=GIANT)


@sequence("gown_40k", "a gown of 40,000 vertices; a twirl")
def _gown(name: str) -> Shot:
    gown = dress("ankle_tiered", seed=18, detail=2.85)
    return make_shot(name, person(), walk(24, family="twirl", seed=14), [Worn(p) for p in gown])


@sequence("overlapping", "a petticoat that passes through the skirt over it and into the body at rest; a sway")
def _overlapping(name: str) -> Shot:
    body = person()
    skirt = wardrobe.around(body, "skirt", (0.625, 0.6, 0.3), 0.01, 0.13)
    inner = wardrobe.around(body, "petticoat", (0.62, 0.6, 0.33), -0.004, 0.145)
    angle = np.arctan2(inner.vertices[:, 0], inner.vertices[:, 1])
    down = smoothstep((0.6 * body.height - inner.vertices[:, 2]) / 0.25)
    wave = 1 + 0.06 * down * np.cos(9 * angle)
    inner = replace(inner, vertices=inner.vertices * np.stack([wave, wave, 1 + 0 * wave], 1))
    return make_shot(name, body, walk(40, family="sway", seed=15), [Worn(inner, "silk"), Worn(skirt)])


@sequence("broken_mesh", "a dress with holes, double faces, flat faces, loose vertices and loose scraps; a walk")
def _broken(name: str) -> Shot:
    whole = dress("knee_aline", "loose", 19)[0]
    count = len(whole.quads)
    below = np.flatnonzero(whole.vertices[whole.quads][:, :, 2].mean(1) < 0.6 * person().height)
    holes = below[(below % 61 < 3) | ((below > 0.8 * count) & (below % 83 < 8))]
    kept = np.delete(whole.quads, holes, axis=0)
    double = kept[5::37][:, ::-1]
    flat = np.stack([kept[3::53, 0], kept[3::53, 1], kept[3::53, 1], kept[3::53, 1]], 1)
    torn = replace(
        whole, quads=np.concatenate([kept, double, flat]), uvs=np.zeros((len(kept) + len(double) + len(flat), 4, 2))
    )
    return make_shot(name, person(), walk(36, seed=16), [Worn(_with_scraps(torn))])


def _with_scraps(part: Part) -> Part:
    """The garment with a square patch, single triangles and single vertices beside it, joined to nothing."""
    free = part.vertices[part.pins < 0.01]
    out = free[:: len(free) // 7][:7]
    away = out * [1.12, 1.12, 1] - out
    patch = out[3] + away[3] + 0.02 * np.stack([np.zeros(30), *np.divmod(np.arange(30), 6)], 1)
    singles = (out + 1.5 * away)[:, None] + 0.015 * np.array([[0, 0, 0], [0, 0.6, 0.4], [0.5, 0, 0.8]])
    loose = out + 2 * away
    start = len(part.vertices)
    quads = [part.quads, grid_quads(5, 6, closed=False) + start]
    corners = start + 30 + np.arange(21).reshape(7, 3)
    quads.append(corners[:, [0, 1, 2, 2]])
    added = np.concatenate([patch, singles.reshape(-1, 3), loose])
    near = np.linalg.norm(added[:, None] - part.vertices, axis=2).argmin(1)
    faces = np.concatenate(quads)
    return replace(
        part,
        vertices=np.concatenate([part.vertices, added]),
        quads=faces,
        uvs=np.zeros((*faces.shape, 2)),
        weights=np.concatenate([part.weights, part.weights[near]]),
        pins=np.concatenate([part.pins, np.zeros(len(added))]),
    )


@sequence("strands", "500 hair strands as curves over a dress; she turns her head and hops")
def _strands(name: str) -> Shot:
    body, points = person(), 14
    skull = body.vertices[body.head]
    crown = skull[:, 2].max()
    middle = skull[skull[:, 2] > crown - 0.12].mean(0)
    top = skull[(skull[:, 2] > crown - 0.11) & (skull[:, 1] > middle[1] - 0.015)]
    roots = top[:: max(1, len(top) // 500)][:500]
    out = (roots - middle) / np.linalg.norm(roots - middle, axis=1, keepdims=True)
    far = np.linspace(0, 1, points)[:, None, None]
    flat = out * [1, 1, 0] + [0, 0.55, 0]
    line = roots + 0.004 * out + 0.055 * np.minimum(3 * far, 1) * flat - 0.34 * far**1.4 * [0, 0, 1.0]
    line = line.transpose(1, 0, 2)
    vertices, faces = ribbons(line, np.full(line.shape[:2], 8e-4))
    assert np.array_equal(faces, ribbon_faces(len(line), points))
    weights = np.zeros((len(vertices), len(body.skeleton.names)))
    weights[:, body.skeleton.index("head")] = 1
    quads = faces[:, [0, 1, 2, 2]].astype(np.int64)
    hair = Part("hair", HAIR, vertices, quads, np.zeros((*quads.shape, 2)), weights, root_pins(points, len(line)))
    keys = [
        Key(0.0, HANGING), Key(0.3, head=(0, 0, 45)), Key(0.65, head=(0, 0, -45)), Key(1.0, head=(35, 0, 0), air=0),
        Key(1.25, head=(-10, 0, 0), air=0.25), Key(1.5, air=0), Key(1.8),
    ]  # fmt: skip
    worn = [*(Worn(p) for p in dress("knee_straight", seed=20)), Worn(hair, strands=points)]
    return make_shot(name, body, act(body, keys, 24, 44), worn)
