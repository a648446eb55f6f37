"""A small character for tests: a pillar with a head as body, a flared skirt, and a sway; 700 vertices."""

from __future__ import annotations

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import Material, ObjectRange, ShotMeta
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.clip import CoarseClip
from ani3dhuman.rendering.light_sources import Lighting

WIDTH, HEIGHT = 96, 160


def rings(radii: np.ndarray, heights: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a tube about the z axis."""
    angle = np.arange(columns) / columns * 2 * np.pi
    x, y = radii[:, None] * np.sin(angle), -radii[:, None] * np.cos(angle)
    z = np.broadcast_to(heights[:, None], x.shape)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    r, c = np.meshgrid(np.arange(len(radii) - 1), np.arange(columns), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    quads = np.stack([a, a + columns, b + columns, b], -1).reshape(-1, 4)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def small_clip(frames: int = 20, gaussians: int = 3000, seed: int = 0) -> CoarseClip:
    """The pillar walks along x and turns a little; the coarse layer is the rigid one."""
    body, body_faces = rings(np.full(24, 0.13), np.linspace(1.6, 0.1, 24), 16)
    skirt, skirt_faces = rings(np.linspace(0.15, 0.34, 12), np.linspace(1.0, 0.45, 12), 28)
    vertices = np.concatenate([body, skirt]).astype(np.float32)
    faces = np.concatenate([body_faces, skirt_faces + len(body)]).astype(np.int32)
    regions = np.concatenate([np.where(body[:, 2] > 1.3, 1, 0), np.full(len(skirt), 3)])
    down = (1.0 - skirt[:, 2]) / 0.55
    pins = np.concatenate([np.ones(len(body)), 1 - np.clip(down * 5, 0, 1)]).astype(np.float32)
    time = np.arange(frames) / 24
    turn = 0.5 * np.sin(2 * np.pi * time)
    rigid = np.stack(
        [
            np.stack(
                [
                    vertices[:, 0] * np.cos(a) - vertices[:, 1] * np.sin(a) + 0.4 * t,
                    vertices[:, 0] * np.sin(a) + vertices[:, 1] * np.cos(a),
                    vertices[:, 2],
                ],
                1,
            )
            for t, a in zip(time, turn, strict=True)
        ]
    ).astype(np.float32)
    viewmat = np.array([[1, 0, 0, -0.1], [0, 0, -1, 0.85], [0, 1, 0, 3.0], [0, 0, 0, 1]], np.float32)
    K = np.array([[250, 0, WIDTH / 2], [0, 250, HEIGHT / 2], [0, 0, 1]], np.float32)
    cameras = CameraPath(np.repeat(viewmat[None], frames, 0), np.repeat(K[None], frames, 0), WIDTH, HEIGHT)
    shot = Shot(
        ShotMeta(
            "clip",
            24.0,
            1,
            frames,
            WIDTH,
            HEIGHT,
            (ObjectRange("all", 0, len(vertices)),),
            ("root",),
            (Material("skin", (0.7, 0.5, 0.4)), Material("cloth", (0.2, 0.3, 0.7))),
        ),
        {
            "vertices": vertices,
            "faces": faces,
            "region_ids": regions.astype(np.int32),
            "face_uvs": np.zeros((len(faces), 3, 2), np.float32),
            "face_materials": (regions[faces[:, 0]] == 3).astype(np.int32),
            "vertex_tints": np.ones_like(vertices),
        },
    )
    return CoarseClip(
        cameras=cameras,
        avatar=avatar_from_shot(shot, gaussians, seed=seed),
        lighting=Lighting(np.array([[0.0, 0.8, -0.6]]), np.array([[0.8, 0.8, 0.8]]), np.array([0.4, 0.4, 0.4])),
        background=np.array([0.9, 0.9, 0.9], np.float32),
        fps=24.0,
        bind_vertices=vertices,
        rigid_vertices=rigid,
        vertices=rigid,
        vertex_regions=regions,
        pin_weights=pins,
    )
