"""Layers next to each other: titled rows and columns of frames."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK = (40, 40, 46)
PAPER = 250


def titled(picture: np.ndarray, title: str, bar: int) -> np.ndarray:
    """A picture (H,W,3) uint8 under a strip of `bar` pixels with its title in the middle."""
    strip = np.full((bar, picture.shape[1], 3), PAPER, np.uint8)
    scale = bar / 46
    (width, height), _ = cv2.getTextSize(title, FONT, scale, 1)
    scale *= min(1.0, 0.92 * picture.shape[1] / max(width, 1))
    (width, height), _ = cv2.getTextSize(title, FONT, scale, 1)
    place = ((picture.shape[1] - width) // 2, (bar + height) // 2)
    cv2.putText(strip, title, place, FONT, scale, INK, 1, cv2.LINE_AA)
    return np.concatenate([strip, picture])


def side_by_side(frames: Mapping[str, np.ndarray]) -> np.ndarray:
    """One picture of several layers at the same frame: title -> (H,W,3) uint8, all of one size."""
    gap = 4
    columns: list[np.ndarray] = []
    for title, picture in frames.items():
        column = titled(picture, title, max(24, picture.shape[0] // 20))
        if columns:
            columns.append(np.full((column.shape[0], gap, 3), PAPER, np.uint8))
        columns.append(column)
    return np.concatenate(columns, axis=1)


def sheet_frames(total: int, picks: int = 6) -> list[int]:
    """The frames of `total` that a sheet shows, evenly over the clip."""
    return [int(t) for t in np.unique(np.linspace(0, total - 1, min(picks, total)).round())]


def lowered(picture: np.ndarray, height: int) -> np.ndarray:
    """A picture (H,W,3) shrunk to at most a height, in pixels; the width is even then."""
    if picture.shape[0] <= height:
        return picture
    width = max(2, 2 * round(picture.shape[1] * height / picture.shape[0] / 2))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def thumbnail(picture: np.ndarray, height: int = 360) -> np.ndarray:
    """A picture (H,W,3) at a height in pixels, as sheets show it; one of that height stays as it is."""
    width = round(picture.shape[1] * height / picture.shape[0])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def contact_sheet(
    layers: Mapping[str, np.ndarray | Mapping[int, np.ndarray]],
    frame_numbers: list[int],
    picks: int = 6,
    height: int = 360,
) -> np.ndarray:
    """Rows of layers, columns of frames evenly over the clip.

    Args:
        layers: title -> (T,H,W,3) uint8, or those of `sheet_frames` by number.
        frame_numbers: (T) scene frame of each index.
        picks: number of columns.
        height: of each picture, pixels.

    Returns:
        (.,.,3) uint8 sheet.
    """
    chosen = sheet_frames(len(frame_numbers), picks)
    rows = []
    for title, frames in layers.items():
        small = [thumbnail(frames[i], height) for i in chosen]
        rows.append(side_by_side({f"{title}  {frame_numbers[i]}": s for i, s in zip(chosen, small, strict=True)}))
    return np.concatenate(rows)
