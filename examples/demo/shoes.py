"""Ballet flats: for each foot rings around its convex outline from the sole to a curved edge, and a closed sole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from character import Human, Part
from dress import grid_quads, measure_outline, skin_weights

COLUMNS = 44
RINGS = 9
SOLE_RINGS = 3
LEATHER = 0.004
SOLE = 0.005  # thickness under the foot: the skin stands this much above the floor


def _edge_height(angle: np.ndarray) -> np.ndarray:
    """Height of the upper edge by angle from the toes: a low throat over the toes, low sides, a higher heel."""
    toes = np.exp(-((angle / 0.42) ** 2))
    heel = np.exp(-(((np.abs(angle) - np.pi) / 0.75) ** 2))
    return 0.030 + 0.008 * toes + 0.022 * heel


def _shoe(skin: np.ndarray, heading: float) -> np.ndarray:
    """(R,COLUMNS,3) rings from the edge down and to the middle of the sole, for foot vertices skin (N,3), feet on z=0.

    heading: the foot's direction, radians from -Y towards +X.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, sin], [-sin, cos]])
    centre = (skin[:, :2].max(0) + skin[:, :2].min(0)) / 2
    local = skin.copy()
    local[:, :2] = (skin[:, :2] - centre) @ turn.T
    outline = measure_outline(local, np.arange(0.004, 0.085, 0.004), 0.0, slab=0.007)

    # Columns stand evenly along the outline, not evenly in angle, or heel and toe would get too few.
    fine = np.linspace(-np.pi, np.pi, 721)
    radius = outline.at(fine, np.full_like(fine, 0.012))
    way = np.stack([radius * np.sin(fine), -radius * np.cos(fine)], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    angle = np.interp(np.arange(COLUMNS) / COLUMNS * length[-1], length, fine)

    up = np.linspace(1, 0, RINGS)[:, None]
    height = _edge_height(angle) * up
    radius = outline.at(angle + np.zeros_like(up), np.maximum(height, 0.006)) + LEATHER
    rings = [np.stack([radius * np.sin(angle), -radius * np.cos(angle), height - SOLE * (1 - up) ** 2], -1)]
    for share in np.linspace(0.75, 0.1, SOLE_RINGS):
        rings.append((rings[0][-1] * [share, share, 1])[None])
    shoe = np.concatenate(rings)
    shoe[..., :2] = shoe[..., :2] @ turn + centre
    return shoe


def put_on_shoes(human: Human) -> Part:
    """The body with the shoes as further vertices and quads of material Shoes, region body."""
    body, skeleton = human.body, human.skeleton
    vertices, quads, count = [body.vertices], [body.quads], len(body.vertices)
    for side in "LR":
        foot, toes = skeleton.index(f"foot.{side}"), skeleton.index(f"toes.{side}")
        on_foot = body.weights[:, [foot, toes]].sum(1) > 0.5
        along = skeleton.heads[toes] - skeleton.heads[foot]
        shoe = _shoe(body.vertices[on_foot], float(np.arctan2(along[0], -along[1])))
        faces = grid_quads(len(shoe), COLUMNS, closed=True)
        middle = np.arange(COLUMNS // 2 - 1)
        last = (len(shoe) - 1) * COLUMNS
        lid = np.stack([middle, middle + 1, COLUMNS - 2 - middle, COLUMNS - 1 - middle], 1)[:, ::-1] + last
        vertices.append(shoe.reshape(-1, 3))
        quads.append(np.concatenate([faces, lid]) + count)
        count += shoe.size // 3
    points, faces = np.concatenate(vertices), np.concatenate(quads)
    old, old_quads = len(body.vertices), len(body.quads)
    skin = body.quads[body.face_materials == body.materials.index("Skin")]
    added = len(points) - old
    material = np.full(len(faces), len(body.materials))
    material[:old_quads] = body.face_materials
    return replace(
        body,
        vertices=points,
        quads=faces,
        corner_uvs=np.concatenate([body.corner_uvs, np.full((len(faces) - old_quads, 4, 2), 0.5)]),
        materials=(*body.materials, "Shoes"),
        face_materials=material,
        weights=np.concatenate([body.weights, skin_weights(points[old:], body, skin)]),
        groups={
            name: np.concatenate([values, np.full(added, float(name == "ani3d_body"))])
            for name, values in body.groups.items()
        },
    )
