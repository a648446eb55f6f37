"""How results look in renders: python -m benchmarks.film.run film|gaussians [--python PROGRAM] [--out FOLDER].

`film`: the engine's film frames merged with Blender's picture, beside Cycles' picture of the result's meshes; a cube
stands in front and a wall behind. `gaussians`: the result's Gaussians as this Blender draws them in Cycles, beside the
engine's picture and beside Cycles' of the result's meshes. Figures go into out/bench/WHAT.json; those of the Gaussians
are named after the version of Blender, and others' stay.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.rendering.exposure import Exposure
from ani3dhuman.rendering.motion_blur import render_frame

FULL = 0.98  # alpha from which on a pixel is inside
BACKDROP = 0.8  # sRGB-encoded, behind pictures that are shown
FRAMES = (12, 24, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("film", "gaussians"))
    parser.add_argument("--python", default=".venv-blender/bin/python", help="of a Blender")
    parser.add_argument("--demo", type=Path, default=Path("out/demo"))
    parser.add_argument("--out", type=Path, default=Path("out/bench/film"))
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    options = parser.parse_args()
    out = options.out / options.what
    out.mkdir(parents=True, exist_ok=True)
    cache = options.demo / "result" / "Rig.ani3d"
    script = ["-m", "benchmarks.film.in_blender", options.what, out, options.demo / "demo.blend", cache]
    build = [options.python, "-m", "tools.build_extension", "--out", options.out / "dist"]
    zipped = subprocess.run([*map(str, build)], check=True, capture_output=True, text=True).stdout.split()[-1]
    with tempfile.TemporaryDirectory(prefix="ani3d-bench-") as user:
        env = {**os.environ, "BLENDER_USER_RESOURCES": user, "ANI3D_EXTENSION": str(Path(zipped).resolve())}
        subprocess.run([options.python, *map(str, [*script, *options.frames])], check=True, env=env)
    judge = _film if options.what == "film" else _gaussians
    found = {frame: judge(out, frame, options.demo) for frame in options.frames}
    flat = {f"{name}_{frame}": value for frame, figures in found.items() for name, value in figures.items()}
    file = options.out.parent / f"{options.what}.json"
    if options.what == "gaussians":
        version = (out / "version.txt").read_text()
        flat = {f"blender_{version}_{name}": value for name, value in flat.items()}
        for name in ("engine_db", "mesh_db"):
            flat[f"blender_{version}_{name}"] = round(float(np.mean([each[name] for each in found.values()])), 2)
        flat = (json.loads(file.read_text()) if file.exists() else {}) | flat
    file.write_text(json.dumps(flat, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(flat, indent=1))


def _film(out: Path, frame: int, _demo: Path) -> dict[str, float]:
    """Edges: pixels that the cube fills and where film shows all the same, and the other way round, both further than a
    pixel from its edge. Blur: decibels of sRGB-encoded colours, and of coverage."""
    cube = _read(out / f"cube_{frame:04d}.exr")[..., 3]
    cut = _read(out / "frames" / "still" / f"Rig_{frame:04d}.exr")[..., 3]
    uncut = _read(out / "uncut" / "still" / f"Rig_{frame:04d}.exr")[..., 3]
    kernel = np.ones((3, 3), np.uint8)
    inside = cv2.erode((cube > 0.999).astype(np.uint8), kernel) > 0
    outside = cv2.dilate((cube > 0.001).astype(np.uint8), kernel) == 0
    figures: dict[str, float] = {
        "cube_over_character_px": int((inside & (uncut > 0.5)).sum()),
        "film_over_cube_px": int((inside & (cut > 0)).sum()),
        "film_lost_beside_cube_px": int((outside & (np.abs(uncut - cut) > 0.02)).sum()),
    }
    for label in ("still", "blurred"):
        merged, mesh = (_shown(out / f"{kind}_{label}_{frame:04d}.exr") for kind in ("merged", "mesh"))
        matte = _read(out / f"matte_{label}_{frame:04d}.exr")[..., 3]
        film = _read(out / "uncut" / label / f"Rig_{frame:04d}.exr")[..., 3]
        body = (matte > 0.01) | (film > 0.01)
        figures[f"frame_db_{label}"] = _decibels(merged, mesh)
        figures[f"character_db_{label}"] = _decibels(merged[body], mesh[body])
        figures[f"matte_db_{label}"] = _decibels(film, matte)
        figures[f"matte_in_character_db_{label}"] = _decibels(film[body], matte[body])
    return figures


def _gaussians(out: Path, frame: int, demo: Path) -> dict[str, float]:
    """Decibels inside the silhouette, sRGB-encoded: beside the engine's picture, and beside Cycles' of the meshes, each
    with how far the mean of each channel is off, in levels; coverage beside the engine's."""
    cache, shot = FrameCache.open(demo / "result" / "Rig.ani3d"), Shot.load(demo / "shot.npz")
    row = frame - shot.meta.frame_start
    cameras = replace(shot.cameras, viewmats=shot.cameras.viewmats[[row]], Ks=shot.cameras.Ks[[row]])
    still = Exposure(samples=1, shutter=0)
    ours = render_frame(cache.gaussians(frame, frame), cameras, frame, still, frame_start=frame).rgba
    pictures = {"engine": ours} | {kind: _read(out / f"{kind}_{frame:04d}.exr") for kind in ("gaussians", "mesh")}
    figures: dict[str, float] = {}
    for other in ("engine", "mesh"):
        inside = cv2.erode((pictures[other][..., 3] > FULL).astype(np.uint8), np.ones((3, 3))) > 0
        first, second = (_encoded(pictures[kind])[inside] for kind in ("gaussians", other))
        figures[f"{other}_db"] = _decibels(first, second)
        for channel, value in zip("rgb", (first - second).mean(0), strict=True):
            figures[f"{other}_bias_{channel}"] = round(float(255 * value), 2)
        if other == "engine":
            figures["coverage_db"] = _decibels(pictures["gaussians"][inside][:, 3], ours[inside][:, 3])
    strip = np.hstack([_over(pictures[kind]) for kind in ("engine", "gaussians", "mesh")])[..., ::-1] * 255 + 0.5
    cv2.imwrite(str(out / f"engine_blender_mesh_{frame:04d}.png"), strip.astype(np.uint8))
    return figures


def _read(path: Path) -> np.ndarray:
    with OpenEXR.File(str(path)) as file:
        channels: Any = file.channels()
        return np.array(channels["RGBA"].pixels, np.float32)


def _shown(path: Path) -> np.ndarray:
    return _encoded(_read(path))


def _encoded(picture: np.ndarray) -> np.ndarray:
    return linear_to_srgb(np.clip(picture[..., :3], 0, 1))


def _over(picture: np.ndarray) -> np.ndarray:
    """(H,W,3) sRGB-encoded 0..1, over the backdrop."""
    alpha = picture[..., 3:]
    return _encoded(picture / np.maximum(alpha, 1e-6)) * alpha + BACKDROP * (1 - alpha)


def _decibels(first: np.ndarray, second: np.ndarray) -> float:
    return round(float(-10 * np.log10(np.square(first - second).mean() + 1e-12)), 2)


if __name__ == "__main__":
    main()
