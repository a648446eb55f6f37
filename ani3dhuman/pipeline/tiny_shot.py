"""A tiny rigged character made of numbers, with a skirt and hair, for the compiler and for tests."""

from __future__ import annotations

import json

import numpy as np

from ani3d_formats.hair_ribbons import ribbons
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot_lights import LAMP_KINDS
from ani3d_formats.shot_meta import VERSION

COLUMNS = 20


def tube(radii: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (R*C,3) and triangles of a tube with a ring for each radius and height."""
    angle = np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    rings = [
        np.stack([r * np.cos(angle), r * np.sin(angle), np.full(COLUMNS, z)], 1)
        for r, z in zip(radii, heights, strict=True)
    ]
    faces = []
    for ring in range(len(rings) - 1):
        for i in range(COLUMNS):
            a, b = ring * COLUMNS + i, ring * COLUMNS + (i + 1) % COLUMNS
            # rings go downwards, so this order turns the normals outwards
            faces += [(a, a + COLUMNS, b), (b, a + COLUMNS, b + COLUMNS)]
    return np.concatenate(rings).astype(np.float32), np.array(faces, np.int32)


def translation(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, 3] = x, y, z
    return matrix


def turn(angle: float) -> np.ndarray:
    matrix = np.eye(4, dtype=np.float32)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def tiny_arrays(frames: int = 8, width: int = 96, height: int = 160) -> dict[str, np.ndarray]:
    """The arrays of a valid shot: the character walks along x and turns, a camera looks along +y. Sizes in pixels."""
    body, body_faces = tube(np.array([0.02, 0.14, 0.14, 0.12, 0.02]), np.array([1.7, 1.5, 1.1, 0.6, 0.0]))
    skirt, skirt_faces = tube(np.linspace(0.16, 0.34, 8), np.linspace(1.1, 0.5, 8))
    hair, hair_faces = tube(np.linspace(0.06, 0.16, 5), np.linspace(1.72, 1.45, 5))
    vertices = np.concatenate([body, skirt, hair])
    faces = np.concatenate([body_faces, skirt_faces + len(body), hair_faces + len(body) + len(skirt)])
    regions = np.concatenate([np.full(len(body), 0), np.full(len(skirt), 3), np.full(len(hair), 2)])
    regions[:COLUMNS] = 1
    chest = np.clip((vertices[:, 2] - 0.9) / 0.4, 0, 1)
    head = np.clip((vertices[:, 2] - 1.4) / 0.2, 0, 1)
    weights = np.stack([1 - chest, chest * (1 - head), chest * head], 1)
    rest = np.stack([translation(0, 0, z) for z in (0.9, 1.2, 1.5)])
    pose = np.stack(
        [
            [translation(0.04 * t, 0, 0) @ turn(0.1 * t) @ r @ turn(0.05 * i * t) for i, r in enumerate(rest)]
            for t in range(frames)
        ]
    )
    view = np.array([[1, 0, 0, -0.1], [0, 0, -1, 0.9], [0, 1, 0, 3.0], [0, 0, 0, 1]], np.float32)
    focal = 1.3 * height
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    names = ("Body", "Skirt", "Hair")
    starts = np.cumsum([0, len(body), len(skirt)])
    meta = {
        "schema": "ani3dhuman.shot",
        "version": VERSION,
        "name": "synthetic",
        "fps": 24.0,
        "frame_start": 1,
        "frame_end": frames,
        "width": width,
        "height": height,
        "camera_type": "perspective",
        "bones": ["hips", "chest", "head"],
        "regions": list(REGIONS),
        "objects": [
            {"name": n, "vertex_start": int(s), "vertex_count": len(v)}
            for n, s, v in zip(names, starts, (body, skirt, hair), strict=True)
        ],
        "materials": [
            {"name": "skin", "base_color": [0.6, 0.4, 0.3], "texture": -1},
            {"name": "cloth", "base_color": [1, 1, 1], "texture": 0},
        ],
    }
    checker = np.zeros((16, 16, 4), np.uint8)
    checker[..., 3] = 255
    checker[::2, ::2, 0] = checker[1::2, 1::2, 2] = 220
    uv = np.stack([np.arctan2(vertices[:, 1], vertices[:, 0]) / (2 * np.pi), vertices[:, 2]], 1)
    return {
        "meta": np.array(json.dumps(meta)),
        "vertices": vertices,
        "faces": faces,
        "face_uvs": uv[faces].astype(np.float32),
        "face_materials": (regions[faces[:, 0]] == 3).astype(np.int32),
        "vertex_tints": np.ones_like(vertices),
        "weight_indices": np.tile(np.arange(3, dtype=np.int32), (len(vertices), 1)),
        "weight_values": weights.astype(np.float32),
        "region_ids": regions.astype(np.uint8),
        "bone_parents": np.array([-1, 0, 1], np.int32),
        "bone_rest": rest,
        "bone_lengths": np.array([0.3, 0.3, 0.2], np.float32),
        "bone_pose": pose.astype(np.float32),
        "viewmats": np.tile(view, (frames, 1, 1)),
        "Ks": np.tile(K, (frames, 1, 1)),
        "sun_directions": np.array([[0.3, 0.7, -0.65]], np.float32),
        "sun_colors": np.array([[0.8, 0.75, 0.7]], np.float32),
        "ambient": np.array([0.4, 0.42, 0.45], np.float32),
        "background": np.array([0.6, 0.6, 0.62], np.float32),
        "texture_0": checker,
    }


def with_optional_arrays(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same character with normals of its own, under a lamp of each kind and an uneven sky."""
    outward = arrays["vertices"] * np.array([1, 1, 0], np.float32)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    kinds = np.arange(len(LAMP_KINDS), dtype=np.int32)
    lamps = np.stack([translation(0.5 * kind - 1, -2, 2) for kind in kinds])
    harmonics = np.zeros((9, 3), np.float32)
    harmonics[0] = 0.4
    return arrays | {
        "corner_normals": outward[arrays["faces"]],
        "lamp_kinds": kinds,
        "lamp_matrices": lamps,
        "lamp_colors": np.ones((len(kinds), 3), np.float32),
        "lamp_shapes": np.tile(np.array([0.3, 0.3, 0.5, 0.1, 1.0], np.float32), (len(kinds), 1)),
        "ambient_sh": harmonics,
    }


def with_strands(arrays: dict[str, np.ndarray], count: int = 6, points: int = 5) -> dict[str, np.ndarray]:
    """The same character with strands of hair, which hang from its head."""
    angle = 2 * np.pi * np.arange(count)[:, None] / count
    fall, far = np.linspace(1.7, 1.4, points), np.linspace(0.08, 0.2, points)
    lines = np.stack([far * np.cos(angle), far * np.sin(angle), np.broadcast_to(fall, (count, points))], 2)
    vertices, faces = ribbons(lines, np.full((count, points), 0.004))
    meta, start = json.loads(str(arrays["meta"])), len(arrays["vertices"])
    meta["objects"].append({"name": "Strands", "vertex_start": start, "vertex_count": len(vertices), "strands": points})
    more = {
        "vertices": vertices,
        "faces": faces + start,
        "face_uvs": np.zeros((len(faces), 3, 2)),
        "face_materials": np.zeros(len(faces)),
        "vertex_tints": np.ones_like(vertices),
        "weight_indices": np.tile(np.arange(3), (len(vertices), 1)),
        "weight_values": np.tile(np.eye(3)[2], (len(vertices), 1)),
        "region_ids": np.full(len(vertices), REGIONS.index("hair")),
    }
    if "corner_normals" in arrays:
        more["corner_normals"] = np.tile(np.eye(3)[2], (len(faces), 3, 1))
    both = {name: np.concatenate([arrays[name], rows.astype(arrays[name].dtype)]) for name, rows in more.items()}
    return arrays | both | {"meta": np.array(json.dumps(meta))}
