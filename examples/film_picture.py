"""The library as a camera: one frame of a cache, three figures deep, sharp and as film. Makes docs/pictures/film.png.

.venv/bin/python examples/film_picture.py out/demo/result/Rig.ani3d out/demo/shot.npz --frame 32 -o film.png
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.shot import Shot
from ani3dhuman.media.video import write_png
from ani3dhuman.presentation.sheets import titled
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rendering.motion_blur import render_frame

PLACES = ((0, 0), (-0.85, -1.1), (0.95, 2.8))  # metres to the right of the figure and behind it, seen by the camera
ZOOM = 0.64  # of the shot's focal length, so that there is room for three


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("shot", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--frame", type=int, required=True)
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--samples", type=int, default=64)
    options = parser.parse_args(arguments)

    shot = Shot.load(options.shot)
    frame, start = options.frame, options.frame - 1  # an open shutter looks one frame back and one ahead
    cameras = shot.cameras.reframed(options.width, options.width * 9 // 16)
    index = start - shot.meta.frame_start
    wide = cameras.Ks[index : index + 3] * np.array([[ZOOM], [ZOOM], [1]], np.float32)
    wide[:, :2, 2] = cameras.width / 2, cameras.height / 2
    cameras = replace(cameras, viewmats=cameras.viewmats[index : index + 3], Ks=wide)

    figure = FrameCache.open(options.cache).gaussians(start, start + 2)
    view = cameras.viewmats[1]
    focus = float(np.median(figure.means[1] @ view[2, :3] + view[2, 3]))
    moves = [right * view[0, :3] + behind * _level(view[2, :3]) for right, behind in PLACES]
    film = Exposure(options.samples, shutter=0.5, fstop=1.0, focus_distance=focus)
    titles = {
        "One sample: an instant, a pinhole": Exposure(samples=1, shutter=0),
        f"{film.samples} samples: shutter {film.shutter} frames, f/{film.fstop}, focus {focus:.1f} m": film,
    }
    pictures = []
    for title, exposure in titles.items():
        picture = render_frame(
            _copies(figure, moves),
            cameras,
            frame,
            exposure,
            background=shot.background_srgb,
            frame_start=start,
            encoding=("straight", "srgb"),
        )
        levels = (np.clip(picture.rgba[..., :3], 0, 1) * 255 + 0.5).astype(np.uint8)
        pictures.append(titled(levels, title, max(24, cameras.height // 18)))
    write_png(options.out, np.concatenate(pictures))


def _level(direction: np.ndarray) -> np.ndarray:
    """A viewing direction along the floor, unit."""
    flat = direction * (1, 1, 0)
    return flat / np.linalg.norm(flat)


def _copies(figure: GaussianFrames, moves: list[np.ndarray]) -> GaussianFrames:
    """The figure once at each of `moves`, metres in world space."""
    count = len(moves)
    return GaussianFrames(
        np.concatenate([figure.means + move.astype(np.float32) for move in moves], axis=1),
        np.tile(figure.quats, (1, count, 1)),
        np.tile(figure.scales, (1, count, 1)),
        np.tile(figure.opacities, count),
        np.tile(figure.colors, (1, count, 1)),
    )


if __name__ == "__main__":
    main()
