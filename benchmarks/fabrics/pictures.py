"""Draped specimens as an artist would look at them: from the side, shaded, one beside the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ani3dhuman.mesh.kernels import point_normals

from .specimens import DISC, PEDESTAL

SIZE = 300  # pixels of a picture's side
COLUMNS = 4
TILT = np.radians(35)  # the camera looks down by this
LIGHT = np.array([-0.4, -0.6, 0.7]) / np.linalg.norm([-0.4, -0.6, 0.7])
CLOTH, PAPER = np.array([150, 170, 215]), 245  # blue, green, red


@dataclass(frozen=True)
class Specimen:
    """A picture's title; points (P,3), faces (F,3)."""

    title: str
    points: np.ndarray
    faces: np.ndarray


def sheet(specimens: list[Specimen], path: Path) -> None:
    """Write pictures of the specimens in rows."""
    drawn = [_picture(one) for one in specimens]
    blank = np.full_like(drawn[0], PAPER)
    drawn += [blank] * (-len(drawn) % COLUMNS)
    rows = [np.concatenate(drawn[k : k + COLUMNS], 1) for k in range(0, len(drawn), COLUMNS)]
    cv2.imwrite(str(path), np.concatenate(rows))


def _picture(one: Specimen) -> np.ndarray:
    """Painted from the back to the front; the pedestal's disc closes the top."""
    angle = np.arange(64) / 64 * 2 * np.pi
    disc = np.stack([PEDESTAL * np.cos(angle), PEDESTAL * np.sin(angle), 0 * angle], 1)
    points = np.concatenate([one.points, disc, np.zeros((1, 3))])
    first = len(one.points)
    fan = np.stack([first + np.arange(64), first + (np.arange(64) + 1) % 64, np.full(64, first + 64)], 1)
    faces = np.concatenate([one.faces, fan])
    normals = point_normals(points.astype(np.float32), faces)[faces].mean(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    towards = np.array([0, -np.cos(TILT), np.sin(TILT)])
    normals *= np.where(normals @ towards < 0, -1, 1)[:, None]
    shade = 0.35 + 0.65 * np.clip(normals @ LIGHT, 0, 1)
    up = np.array([0, np.sin(TILT), np.cos(TILT)])
    scale = 0.44 * SIZE / DISC
    flat = np.stack([points[:, 0] * scale + SIZE / 2, 0.42 * SIZE - points @ up * scale], 1)
    picture = np.full((SIZE, SIZE, 3), PAPER, np.uint8)
    for face in np.argsort(points[faces].mean(1) @ towards):
        corners = np.round(flat[faces[face]] * 16).astype(np.int32)
        cv2.fillConvexPoly(picture, corners, (CLOTH * shade[face]).tolist(), cv2.LINE_AA, 4)
    cv2.putText(picture, one.title, (8, SIZE - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (40, 40, 40), 1, cv2.LINE_AA)
    return picture
