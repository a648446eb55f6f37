"""The engine's light beside Cycles' picture of the same meshes: under suns, an area, a spot, a picture of a studio.

python -m benchmarks.lights.run [--out FOLDER] [--fit-steps N]: figures into out/bench/avatar_lights.json, pictures
beside them. Light alone is judged on places, normals and albedo that are Blender's passes, so that nothing else
differs; then the whole way, through fitted Gaussians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from ani3d_formats.camera import CameraPath
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, pose_avatar
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.fitting.fitted import fitted_avatar
from ani3dhuman.avatar.shading import vertex_albedo
from ani3dhuman.avatar.surface_colors import surface_gloss
from ani3dhuman.media.video import write_png
from ani3dhuman.pipeline.settings import AvatarSettings
from ani3dhuman.rendering.draw import draw
from ani3dhuman.rendering.gloss import Shine
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rendering.surface_lighting import Surface, illuminate, sky
from ani3dhuman.rigid import pose_rigid

LIGHTS = ("sun", "area", "spot", "hdri")
HAIR = "tresses", "sun"  # judged beside the folds, and not part of their mean
STEPS = ("before", "lamps", "shadows", "sky", "reflected", "gloss")
BLENDER = ".venv-blender/bin/python"
GAUSSIANS = 80_000
BACKDROP = 0.8  # sRGB-encoded, behind both pictures
PICTURES = 3  # of a light that are spread over the shot; the others are frames in a row


@dataclass(frozen=True)
class Scene:
    """A character under one light, with Cycles' passes by the number of the frame in the shot."""

    shot: Shot
    avatar: Avatar
    vertices: np.ndarray
    passes: dict[int, dict[str, np.ndarray]]

    @property
    def spread(self) -> list[int]:
        """The frames whose pictures are judged one by one."""
        frames = sorted(self.passes)
        return [frames[0], frames[1], frames[-1]]

    @property
    def row(self) -> list[int]:
        """The frames that follow each other."""
        return sorted(self.passes)[1:-1]


def before(shot: Shot, normals: np.ndarray) -> np.ndarray:
    """(N,3) light as it was until commit 6e294c1: suns with a soft terminator, one colour from above, no lamps."""
    directions, colors = shot["sun_directions"].reshape(-1, 3), shot["sun_colors"].reshape(-1, 3)
    ambient = shot["ambient"] if len(directions) else np.ones(3)
    light = ambient * (0.55 + 0.45 * 0.5 * (1 + normals[:, 2:]))
    for direction, color in zip(directions, colors, strict=True):
        light = light + np.clip((0.25 - normals @ direction) / 1.25, 0, 1)[:, None] * color / np.pi
    return light


def compare(scene: Scene, colors: np.ndarray, t: int) -> tuple[dict[str, Any], np.ndarray]:
    """PSNR in dB of each step against Cycles' matte and whole picture, and a strip: Cycles, before, matte, now."""
    shot, passes = scene.shot, scene.passes[t]
    inside = passes["alpha"] > 0.995
    points, normals = passes["Position"][inside] - np.array(shot.meta.origin), passes["Normal"][inside]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    albedo = passes["DiffCol"][inside]
    matte = (passes["DiffDir"] + passes["DiffInd"])[inside] * albedo
    surface = Surface(scene.vertices[t], shot["faces"], colors)
    lighting = Lighting.of(shot).at(t)
    started = time.monotonic()
    lit = illuminate(lighting, surface, points, normals, _shine(scene, t, points))
    seconds = time.monotonic() - started
    off = {n: np.array(shot.arrays[n]) for n in ("sun_shapes", "lamp_shapes") if n in shot.arrays}
    for shapes in off.values():
        shapes[..., -1] = 0
    open_ = illuminate(replace(Lighting.of(shot), **off).at(t), surface, points, normals).direct
    whole_sky = sky(lighting, normals)
    shades = {
        "before": before(shot, normals) * albedo,
        "lamps": (open_ + whole_sky) * albedo,
        "shadows": (lit.direct + whole_sky) * albedo,
        "sky": (lit.direct + lit.sky) * albedo,
        "reflected": lit.total * albedo,
        "gloss": lit.total * albedo + lit.gloss,
    }
    figures: dict[str, Any] = {"seconds": seconds, "points": len(points)}
    for name, reference in (("matte", matte), ("whole", passes["Combined"][inside])):
        for step in STEPS[: -1 if name == "matte" else None]:
            figures[f"{name}_{step}"] = _decibel(linear_to_srgb(shades[step]) - linear_to_srgb(reference))
    shine = (passes["GlossDir"] + passes["GlossInd"])[inside] * passes["GlossCol"][inside]
    figures["shine"], figures["shine_cycles"] = float(lit.gloss.mean()), float(shine.mean())
    columns = []
    for values in (
        passes["Combined"][inside],
        shades["before"],
        shades["reflected"],
        shades["gloss"],
        shine,
        lit.gloss,
    ):
        picture = np.full((*inside.shape, 3), 0.5)
        picture[inside] = linear_to_srgb(values)
        columns.append(picture)
    return figures, (np.concatenate(columns, 1) * 255).astype(np.uint8)


def _shine(scene: Scene, t: int, points: np.ndarray) -> Shine | None:
    """How the surface mirrors at points that Blender saw: as the Gaussians there do."""
    gloss = scene.avatar.gloss
    if gloss is None:
        return None
    eye = scene.shot.cameras.positions()[t]
    means = scene.avatar.per_vertex(scene.vertices[t])
    nearest = cKDTree(means).query(points)[1]
    towards = (eye - points) / np.linalg.norm(eye - points, axis=1, keepdims=True)
    return Shine.of(gloss[nearest], scene.avatar.albedo[nearest], towards)


def _decibel(error: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(error).mean()))


def _cycles(passes: dict[str, np.ndarray]) -> np.ndarray:
    """(H,W,3) Cycles' picture over the backdrop, sRGB-encoded."""
    alpha = passes["alpha"][..., None]
    return linear_to_srgb(passes["Combined"] / np.maximum(alpha, 1e-6)) * alpha + (1 - alpha) * BACKDROP


def through_gaussians(scene: Scene) -> tuple[dict[str, float], np.ndarray]:
    """How alike the lit Gaussians are to Cycles' pictures, and how much more they flicker; a strip of both."""
    alone: dict[int, np.ndarray] = {}
    for t in scene.spread:  # among its neighbours, as in a job: light is steadied over frames that follow each other
        alone |= {t: _drawn(scene, range(max(t - 1, 0), min(t + 2, len(scene.vertices))))[t]}
    ours = _drawn(scene, scene.row)
    theirs = {t: _cycles(passes) for t, passes in scene.passes.items()}
    solid = {t: binary_erosion(passes["alpha"] > 0.98, iterations=1) for t, passes in scene.passes.items()}
    fit = {"gaussians": float(np.mean([_decibel((alone[t] - theirs[t])[solid[t]]) for t in scene.spread]))}
    changes: dict[str, list[float]] = {"ours": [], "theirs": [], "ours2": [], "theirs2": []}
    for t in scene.row[1:-1]:
        inside = solid[t - 1] & solid[t] & solid[t + 1]
        for name, pictures in (("ours", ours), ("theirs", theirs)):
            changes[name].append(float(np.abs(pictures[t + 1] - pictures[t])[inside].mean()))
            second = pictures[t - 1] - 2 * pictures[t] + pictures[t + 1]
            changes[name + "2"].append(float(np.abs(second)[inside].mean()))
    fit["change"] = float(np.sum(changes["ours"]) / np.sum(changes["theirs"]))
    fit["flicker"] = float(np.sum(changes["ours2"]) / np.sum(changes["theirs2"]))
    strip = np.concatenate([np.concatenate([theirs[t], alone[t]], 1) for t in scene.spread])
    return fit, (strip * 255 + 0.5).astype(np.uint8)


def _drawn(scene: Scene, frames: Sequence[int]) -> dict[int, np.ndarray]:
    """Our pictures of frames that follow each other, over the backdrop."""
    own, path = list(frames), scene.shot.cameras
    cameras = CameraPath(path.viewmats[own], path.Ks[own], path.width, path.height, path.camera_type)
    posed = pose_avatar(scene.avatar, scene.vertices[own], Lighting.of(scene.shot).taken(np.array(own)), cameras)
    pictures = {}
    for k, t in enumerate(own):
        image, alpha = draw(posed, posed.colors[k], cameras, k)
        pictures[t] = np.clip(image + (1 - alpha[..., None]) * BACKDROP, 0, 1)
    return pictures


def measure(scene: str, light: str, folder: Path, archive: Path, steps: int) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "shot.npz").exists():
        command = [BLENDER, "-m", "benchmarks.lights.in_blender", scene, light, str(folder), str(archive)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shot = Shot.load(folder / "shot.npz")
    vertices = pose_rigid(shot, Progress("rigid", shot.frames))
    passes = {int(path.stem) - shot.meta.frame_start: dict(np.load(path)) for path in sorted(folder.glob("[0-9]*.npz"))}
    own = Scene(shot, _avatar(shot, folder.parent / f"{Path(scene).stem}.avatar", steps), vertices, passes)
    colors = vertex_albedo(own.avatar, len(shot["vertices"]))
    rows, strips = [], []
    for t in own.spread:
        figures, strip = compare(own, colors, t)
        rows.append(figures)
        strips.append(strip)
    write_png(folder / "strip.png", np.concatenate(strips))
    found, strip = through_gaussians(own)
    write_png(folder / "gaussians.png", strip)
    found |= {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {name: round(value, 3) for name, value in found.items()}


def _avatar(shot: Shot, path: Path, steps: int) -> Avatar:
    """The character's fitted avatar, which all lights share, with the gloss that the shot says now."""
    if not path.exists():
        fitted = fitted_avatar(shot, GAUSSIANS, steps, 0, Progress("avatar", 1))
        AvatarFile(fitted.avatar, shot.name, "", fitted.notes).save(path)
    avatar = AvatarFile.load(path).avatar
    binding = avatar.binding
    return replace(avatar, gloss=surface_gloss(shot, binding.triangle_ids.numpy(), binding.barycentrics.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/lights"))
    parser.add_argument("--demo", type=Path, default=Path("out/bench/lights/demo.blend"))
    parser.add_argument("--fit-steps", type=int, default=AvatarSettings.fit_steps)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.demo.exists():
        subprocess.run([BLENDER, "examples/demo/build_scene.py", "--out", str(options.demo)], check=True)
    built = [BLENDER, "-m", "tools.build_extension", "--out", str(options.out)]
    archive = Path(subprocess.run(built, check=True, capture_output=True, text=True).stdout.strip())
    figures: dict[str, Any] = {}
    for scene, light in [*((scene, light) for scene in (str(options.demo), "sleeve") for light in LIGHTS), HAIR]:
        name = f"{Path(scene).stem}_{light}"
        if options.only not in name:
            continue
        found = measure(scene, light, options.out / name, archive, options.fit_steps)
        figures |= {f"{name}_{k}": v for k, v in found.items()}
        row = " ".join(f"{step} {found.get(f'matte_{step}', 0):.1f}/{found[f'whole_{step}']:.1f}" for step in STEPS)
        print(f"{name:14s} dB to Cycles matte/whole: {row}")
        print(
            f"{'':14s} Gaussians {found['gaussians']:.1f} dB, flicker {found['flicker']:.2f}, change "
            f"{found['change']:.2f}, shine {found['shine']:.4f} of {found['shine_cycles']:.4f}",
            flush=True,
        )
    folds = {k: v for k, v in figures.items() if not k.startswith(HAIR[0])}
    if not folds:
        return
    for name, key in (("psnr_lights", "_gaussians"), ("psnr_lights_true_albedo", "_whole_gloss")):
        figures[name] = round(float(np.mean([v for k, v in folds.items() if k.endswith(key)])), 3)
    figures["psnr_lights_least"] = min(v for k, v in folds.items() if k.endswith("_gaussians"))
    figures["flicker_lights_most"] = max(v for k, v in folds.items() if k.endswith("_flicker"))
    if not options.only:
        (options.out.parent / "avatar_lights.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
