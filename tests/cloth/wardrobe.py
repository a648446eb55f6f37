"""A person of primitive shapes who sways, and pieces of clothing to put on: what artists bring, in small."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation
from synthetic import make_arrays, tube

from ani3d_formats.regions import BODY, GARMENT
from ani3d_formats.shot import Shot

BONES = ("hips", "chest", "head", "upperarm", "forearm", "hand")
HEADS = np.array([[0, 0, 0.9], [0, 0, 1.15], [0, 0, 1.5], [0.16, 0, 1.42], [0.42, 0, 1.42], [0.66, 0, 1.42]])
PARENTS = np.array([-1, 0, 1, 1, 3, 4], np.int32)
LENGTHS = np.array([0.25, 0.35, 0.25, 0.26, 0.24, 0.15], np.float32)


@dataclass(frozen=True)
class Piece:
    """A mesh object: vertices (P,3), faces (F,3), region, bone that holds it (3: the arm's; None: by height)."""

    vertices: np.ndarray
    faces: np.ndarray
    region: int = GARMENT
    bone: int | None = None
    fabric: str = ""
    strands: int = 0

    @property
    def weights(self) -> np.ndarray:
        if self.bone == 3:
            lower = np.clip((self.vertices[:, 0] - 0.36) / 0.12, 0, 1)[:, None]
            return ((1 - lower) * np.eye(len(BONES))[3] + lower * np.eye(len(BONES))[4]).astype(np.float32)
        if self.bone is not None:
            return np.tile(np.eye(len(BONES), dtype=np.float32)[self.bone], (len(self.vertices), 1))
        chest = np.clip((self.vertices[:, 2] - 0.9) / 0.3, 0, 1)
        head = np.clip((self.vertices[:, 2] - 1.4) / 0.15, 0, 1)
        nothing = np.zeros_like(chest)
        return np.stack([1 - chest, chest * (1 - head), chest * head, nothing, nothing, nothing], 1).astype(np.float32)


def along_x(vertices: np.ndarray, start: np.ndarray) -> np.ndarray:
    """A tube that begins at height 0 and goes down, laid along +x from `start`."""
    return (np.stack([-vertices[:, 2], vertices[:, 1], vertices[:, 0]], 1) + start).astype(np.float32)


def body() -> Piece:
    radii = np.array([0.02, *np.full(15, 0.12), 0.02])
    return Piece(*tube(radii, np.array([1.46, *np.linspace(1.45, 0.1, 15), 0])), BODY)


def head() -> Piece:
    z = np.linspace(1, -1, 9)
    return Piece(*tube(0.1 * np.sqrt(1 - 0.99 * z**2), 1.6 + 0.12 * z), BODY, bone=2)


def hand() -> Piece:
    ball, faces = tube(np.array([0.01, 0.04, 0.04, 0.01]), np.array([0, -0.02, -0.1, -0.12]))
    return Piece(along_x(ball, HEADS[5]), faces, BODY, bone=5)


def arm() -> Piece:
    limb, faces = tube(np.full(14, 0.045), -np.linspace(0, 0.5, 14))
    limb = along_x(limb, HEADS[3])
    return Piece(limb, faces, BODY, bone=3)


def sheet(corners: np.ndarray, rows: int = 13, columns: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """A bilinear grid between four corners (4,3): upper left and right, lower left and right."""
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    u, v = u[..., None], v[..., None]
    a, b, c, d = np.asarray(corners, np.float64)
    points = ((1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d)).reshape(-1, 3)
    r, k = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    first = (r * columns + k).ravel()
    quads = np.stack([first, first + columns, first + columns + 1, first + 1], 1)
    return points.astype(np.float32), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def cape(away: float = 0.06, bone: int | None = 1) -> Piece:
    """A cape behind the shoulders, `away` metres from the back, down to the knees."""
    y = 0.12 + away
    return Piece(*sheet([[-0.2, y, 1.4], [0.2, y, 1.4], [-0.35, y + 0.1, 0.45], [0.35, y + 0.1, 0.45]]), bone=bone)


def skirt(away: float) -> Piece:
    """A skirt whose band is `away` metres from the waist."""
    return Piece(*tube(np.linspace(0.12 + away, 0.32 + away, 12), np.linspace(1.05, 0.5, 12)))


def sleeve() -> Piece:
    """A sleeve in T pose from shoulder to wrist, each half held by its bone."""
    tubes, faces = tube(np.linspace(0.06, 0.09, 12), -np.linspace(0, 0.5, 12))
    return Piece(along_x(tubes, HEADS[3]), faces, bone=3)


def split(piece: Piece) -> Piece:
    """The same with every face on its own, as flat-shaded meshes come out of game formats."""
    count = len(piece.faces) * 3
    corners = piece.vertices[piece.faces].reshape(-1, 3)
    return replace(piece, vertices=corners, faces=np.arange(count, dtype=np.int32).reshape(-1, 3))


def wear(pieces: dict[str, Piece], frames: int = 16, scale: np.ndarray | None = None) -> Shot:
    """A shot of `pieces`: the hips sway and turn, the arm swings; `scale` (T,) is the size of all bones by frame."""
    arrays = make_arrays(frames)
    meta = json.loads(str(arrays["meta"]))
    parts, start = list(pieces.values()), 0
    meta["objects"] = []
    for name, part in pieces.items():
        entry = {"name": name, "vertex_start": start, "vertex_count": len(part.vertices)}
        meta["objects"].append(entry | {"fabric": part.fabric, "strands": part.strands})
        start += len(part.vertices)
    meta["bones"] = list(BONES)
    starts = np.cumsum([0, *(len(p.vertices) for p in parts)])
    vertices = np.concatenate([p.vertices for p in parts]).astype(np.float32)
    faces = np.concatenate([p.faces + s for p, s in zip(parts, starts, strict=False)]).astype(np.int32)
    rest = np.tile(np.eye(4), (len(BONES), 1, 1))
    rest[:, :3, 3] = HEADS
    rest[3:, :3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]  # +Y of the arm's bones along +x
    rest[:3, :3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # +Y of the others upwards
    pose = np.empty((frames, *rest.shape))
    for t in range(frames):
        move = np.eye(4)
        move[:3, :3] = Rotation.from_euler("xz", [0.2 * np.sin(0.25 * t), 0.3 * np.sin(0.2 * t)]).as_matrix()
        move[:3, 3] = [0.03 * t, 0, 0]
        if scale is not None:
            move[:3, :3] *= scale[t]
        lower = np.eye(4)
        lower[:3, :3] = Rotation.from_euler("y", 0.3 + 0.3 * np.sin(0.2 * t)).as_matrix()
        lower[:3, 3] = HEADS[3] - lower[:3, :3] @ HEADS[3]
        pose[t, :3], pose[t, 3:] = move @ rest[:3], move @ lower @ rest[3:]
    arrays |= {
        "meta": np.array(json.dumps(meta)),
        "vertices": vertices,
        "faces": faces,
        "face_uvs": np.zeros((len(faces), 3, 2), np.float32),
        "face_materials": np.zeros(len(faces), np.int32),
        "vertex_tints": np.ones_like(vertices),
        "weight_indices": np.tile(np.arange(len(BONES), dtype=np.int32), (len(vertices), 1)),
        "weight_values": np.concatenate([p.weights for p in parts]),
        "region_ids": np.concatenate([np.full(len(p.vertices), p.region, np.uint8) for p in parts]),
        "bone_parents": PARENTS,
        "bone_rest": rest.astype(np.float32),
        "bone_lengths": LENGTHS,
        "bone_pose": pose.astype(np.float32),
    }
    return Shot.from_arrays(arrays)


def rows(shot: Shot, name: str) -> slice:
    return next(item.rows for item in shot.meta.objects if item.name == name)
