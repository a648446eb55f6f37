"""Pictures of meshes without an avatar: triangles painted from far to near, so that a strip takes a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.shot import Shot
from ani3dhuman.media.video import write_png

from .shots import solids

WIDTH, HEIGHT = 230, 300
LIGHT = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])  # to the right, up, and towards the eye
RED = (255, 30, 30)
GREY = (0.62, 0.6, 0.57)
HEADING = 0.6  # radians that the view comes from her left


def picture(
    shot: Shot,
    vertices: np.ndarray,
    frame: tuple[np.ndarray, float],
    marked: np.ndarray | None = None,
    heading: float = HEADING,
) -> np.ndarray:
    """(HEIGHT,WIDTH,3) uint8 of vertices (V+C,3): the shot's and its colliders'.

    `frame` is the place in the middle and the metres that are seen.
    `marked` (F,) bool: faces drawn in red, over everything.
    """
    around = shot.arrays.get("collider_faces", np.zeros((0, 3), np.int64)) + len(shot["vertices"])
    faces = np.concatenate([shot["faces"], around])
    colours = np.array([material.base_color for material in shot.meta.materials])[shot["face_materials"]] ** (1 / 2.2)
    colours = np.concatenate([colours, np.full((len(around), 3), GREY)])
    loose = np.pad(shot["region_ids"] >= 2, (0, len(vertices) - len(shot["vertices"])))[faces[:, 0]]
    middle, tall = frame
    away = np.array([np.sin(heading), -np.cos(heading), 0.25])
    away /= np.linalg.norm(away)
    side = np.cross([0, 0, 1.0], away)
    side /= np.linalg.norm(side)
    up = np.cross(away, side)
    seen = np.nan_to_num(vertices.astype(np.float64) - middle)
    flat = np.stack([seen @ side, -(seen @ up)], 1) * HEIGHT / tall + [WIDTH / 2, HEIGHT / 2]
    corners = seen[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    facing = normal @ away
    lit = normal @ (LIGHT[0] * side + LIGHT[1] * up + LIGHT[2] * away)
    shade = 0.35 + 0.65 * np.clip(np.sign(facing) * lit, 0, 1)
    inner = (facing < 0) & loose
    shade = np.where(inner, 0.6 * shade, shade)
    tones = np.clip(255 * colours * shade[:, None], 0, 255).astype(int)
    canvas = np.full((HEIGHT, WIDTH, 3), 232, np.uint8)
    floor = np.array([0, 0, -middle[2]])
    line = int((-(floor @ up)) * HEIGHT / tall + HEIGHT / 2)
    if 0 <= line < HEIGHT:
        canvas[line:] = 208
    points = np.clip(np.round(flat[faces] * 16), -(2**20), 2**20).astype(np.int32)
    order = np.argsort((corners @ away).mean(1), kind="stable")
    for face in order[(facing[order] > 0) | loose[order]]:
        cv2.fillConvexPoly(canvas, points[face], tones[face].tolist(), cv2.LINE_AA, 4)
    for face in np.flatnonzero(marked) if marked is not None else ():
        cv2.polylines(canvas, [points[face]], True, RED, 2, cv2.LINE_AA, 4)
    return canvas


def view_of(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """The middle (3,) and the metres that a picture of vertices (V,3) has to show."""
    found = vertices[np.isfinite(vertices).all(1)]
    low, high = np.percentile(found, [0.5, 99.5], axis=0) if len(found) else np.zeros((2, 3))
    return (low + high) / 2, float(1.25 * max(high[2] - low[2], 0.9 * np.linalg.norm((high - low)[:2])))


def strip(shot: Shot, vertices: np.ndarray, frames: Sequence[int], text: str = "") -> np.ndarray:
    """Pictures of `frames` of vertices (T,V,3) side by side, each with its number."""
    skin = np.flatnonzero(shot["region_ids"] < 2)
    vertices = np.concatenate([vertices, solids(shot)], axis=1)
    size = max(view_of(vertices[t])[1] for t in frames)
    size = min(size, 1.6 * max(view_of(vertices[t][skin])[1] for t in frames))
    cells = []
    for t in frames:
        cell = picture(shot, vertices[t], (view_of(vertices[t][skin])[0], size))
        cells.append(labelled(cell, str(t), HEIGHT - 8))
    labelled(cells[0], text)
    return np.concatenate(cells, axis=1)


def labelled(cell: np.ndarray, text: str, line: int = 16) -> np.ndarray:
    """The picture itself with a line of text written into it."""
    cv2.putText(cell, text, (6, line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
    return cell


def save(path: Path, rows: Sequence[np.ndarray]) -> None:
    """Write rows of pictures below each other."""
    wide = max(row.shape[1] for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(
        path, np.concatenate([np.pad(r, ((0, 0), (0, wide - r.shape[1]), (0, 0)), constant_values=255) for r in rows])
    )
