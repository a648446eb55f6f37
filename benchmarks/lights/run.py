"""The engine's light on true albedo beside Cycles' picture of the same meshes: under suns, an area, a spot, a picture.

python -m benchmarks.lights.run [--out FOLDER]: figures into out/bench/avatar_lights.json, pictures beside them.
Places, normals and albedo of every pixel are Blender's passes, so that nothing but light differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.shading import vertex_albedo
from ani3dhuman.media.video import write_png
from ani3dhuman.rendering.illumination import Surface, illuminate, sky
from ani3dhuman.rendering.lighting import Lighting
from ani3dhuman.rigid import pose_rigid

LIGHTS = ("sun", "area", "spot", "hdri")
STEPS = ("before", "lamps", "shadows", "sky", "reflected")
BLENDER = ".venv-blender/bin/python"


def before(shot: Shot, normals: np.ndarray) -> np.ndarray:
    """(N,3) light as it was until commit 6e294c1: suns with a soft terminator, one colour from above, no lamps."""
    directions, colors = shot["sun_directions"].reshape(-1, 3), shot["sun_colors"].reshape(-1, 3)
    ambient = shot["ambient"] if len(directions) else np.ones(3)
    light = ambient * (0.55 + 0.45 * 0.5 * (1 + normals[:, 2:]))
    for direction, color in zip(directions, colors, strict=True):
        light = light + np.clip((0.25 - normals @ direction) / 1.25, 0, 1)[:, None] * color / np.pi
    return light


def compare(
    shot: Shot, colors: np.ndarray, vertices: np.ndarray, t: int, passes: dict[str, np.ndarray]
) -> tuple[dict[str, Any], np.ndarray]:
    """PSNR in dB of each step against Cycles' matte and whole picture, and a strip: Cycles, matte, before, now."""
    inside = passes["alpha"] > 0.995
    points, normals = passes["Position"][inside] - np.array(shot.meta.origin), passes["Normal"][inside]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    albedo = passes["DiffCol"][inside]
    matte = (passes["DiffDir"] + passes["DiffInd"])[inside] * albedo
    surface = Surface(vertices, shot["faces"], colors)
    started = time.monotonic()
    lit = illuminate(Lighting.of(shot).at(t), surface, points, normals)
    seconds = time.monotonic() - started
    off = {n: np.array(shot.arrays[n]) for n in ("sun_shapes", "lamp_shapes") if n in shot.arrays}
    for shapes in off.values():
        shapes[..., -1] = 0
    open_ = illuminate(replace(Lighting.of(shot), **off).at(t), surface, points, normals).direct
    whole_sky = sky(Lighting.of(shot).at(t), normals)
    shades = {
        "before": before(shot, normals) * albedo,
        "lamps": (open_ + whole_sky) * albedo,
        "shadows": (lit.direct + whole_sky) * albedo,
        "sky": (lit.direct + lit.sky) * albedo,
        "reflected": lit.total * albedo,
    }
    figures: dict[str, Any] = {"seconds": seconds, "points": len(points)}
    for name, reference in (("matte", matte), ("whole", passes["Combined"][inside])):
        for step in STEPS:
            error = linear_to_srgb(shades[step]) - linear_to_srgb(reference)
            figures[f"{name}_{step}"] = float(-10 * np.log10((error**2).mean()))
    columns = []
    for values in (passes["Combined"][inside], matte, shades["before"], shades["reflected"]):
        picture = np.full((*inside.shape, 3), 0.5)
        picture[inside] = linear_to_srgb(values)
        columns.append(picture)
    return figures, (np.concatenate(columns, 1) * 255).astype(np.uint8)


def measure(scene: str, light: str, folder: Path, archive: Path) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "shot.npz").exists():
        command = [BLENDER, "-m", "benchmarks.lights.in_blender", scene, light, str(folder), str(archive)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shot = Shot.load(folder / "shot.npz")
    vertices = pose_rigid(shot, Progress("rigid", shot.frames))
    colors = vertex_albedo(avatar_from_shot(shot, 80_000), len(shot["vertices"]))
    rows, strips = [], []
    for path in sorted(folder.glob("[0-9]*.npz")):
        t = int(path.stem) - shot.meta.frame_start
        figures, strip = compare(shot, colors, vertices[t], t, dict(np.load(path)))
        rows.append(figures)
        strips.append(strip)
    write_png(folder / "strip.png", np.concatenate(strips))
    return {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/lights"))
    parser.add_argument("--demo", type=Path, default=Path("out/bench/lights/demo.blend"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.demo.exists():
        subprocess.run([BLENDER, "examples/demo/build_scene.py", "--out", str(options.demo)], check=True)
    built = [BLENDER, "-m", "tools.build_extension", "--out", str(options.out)]
    archive = Path(subprocess.run(built, check=True, capture_output=True, text=True).stdout.strip())
    figures: dict[str, Any] = {}
    for scene in (str(options.demo), "sleeve"):
        for light in LIGHTS:
            name = f"{Path(scene).stem}_{light}"
            figures |= {f"{name}_{k}": v for k, v in measure(scene, light, options.out / name, archive).items()}
            row = " ".join(
                f"{step} {figures[f'{name}_matte_{step}']:.1f}/{figures[f'{name}_whole_{step}']:.1f}" for step in STEPS
            )
            print(f"{name:14s} dB to Cycles matte/whole: {row}", flush=True)
    figures["psnr_lights"] = round(float(np.mean([v for k, v in figures.items() if k.endswith("whole_reflected")])), 3)
    (options.out.parent / "avatar_lights.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
