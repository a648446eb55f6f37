"""Which parts of hair that is a mesh hang and fold as a sheet, and which keep the curves that they were given."""

from __future__ import annotations

import numpy as np

from ..mesh.topology import edges_of
from .constraints import PINNED, islands, sound_faces, tethers
from .fabrics import FABRICS, LOCK
from .garment import Garment
from .layers import ROUND
from .worn import Worn

SHORT = 0.16  # metres along a piece from what is held: what is no longer keeps its style


def worn_hair(hair: Garment) -> Worn:
    """P particles of `hair`: pieces that are open sheets and long are of the fabric "hair", all else is `LOCK`."""
    rest, count = hair.rest, len(hair.rest)
    faces = sound_faces(hair.faces)
    edges = edges_of(faces)
    piece = islands(edges, count)
    corners = rest[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    owner, pieces = piece[faces[:, 0]], int(piece.max(initial=-1)) + 1
    total = np.stack([np.bincount(owner, normals[:, k], pieces) for k in range(3)], 1)
    area = np.bincount(owner, np.linalg.norm(normals, axis=1), pieces)
    open_sheet = np.linalg.norm(total, axis=1) >= ROUND * np.maximum(area, 1e-20)
    longest = np.zeros(pieces)
    np.maximum.at(longest, piece, tethers(rest, edges, hair.pins > PINNED)[1])
    sheet = (open_sheet & (longest > SHORT))[piece]
    fabrics = (LOCK, FABRICS["hair"]) if sheet.any() else (LOCK,)
    return Worn(fabrics, sheet.astype(int), np.zeros(count, int), np.zeros(count), hair=True)
