"""The demo's avatar beside Blender's own pictures of the same meshes: python -m benchmarks.avatar.run [--out FOLDER].

Blender's pictures are kept in FOLDER and rendered where they are missing. Figures go to avatar.json, pictures side by
side to avatar.jpg (Blender, sampled, fitted).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3d_formats.regions import FACE
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, avatar_from_shot, pose_avatar
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.fitting.fitted import fitted_avatar
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rendering.draw import draw
from ani3dhuman.rendering.lighting import Lighting
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.similarity.lpips import load_perceptual

ROOT = Path(__file__).resolve().parents[2]
BLENDER = ROOT / ".venv-blender" / "bin" / "python"
FRAMES = (4, 12, 20, 28, 36, 44)  # as in in_blender.py, which cannot be imported without Blender
BACKDROP = 0.8  # sRGB-encoded, behind both pictures
INSIDE = 0.98


def references(out: Path) -> None:
    """Have Blender render what is missing."""
    if (out / "rest.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    blend = out / "demo.blend"
    subprocess.run([BLENDER, "examples/demo/build_scene.py", "--out", blend], cwd=ROOT, check=True)
    subprocess.run([BLENDER, "-m", "benchmarks.avatar.in_blender", blend, out], cwd=ROOT, check=True)


def scene(shot: Shot, out: Path) -> tuple[np.ndarray, CameraPath, list[np.ndarray]]:
    """Vertices (P,V,3), P cameras, and Blender's P pictures (H,W,4), straight sRGB: the walk, then the rest pose."""
    picked = [frame - shot.meta.frame_start for frame in FRAMES]
    walk = pose_rigid(shot, Progress("rigid", shot.frames))[picked]
    places = np.array(json.loads((out / "rest.json").read_text()))
    around = np.linalg.inv(places @ np.diag([1.0, -1, -1, 1])).astype(np.float32)
    names = [f"f_{frame:02d}" for frame in FRAMES] + [f"r_{number}" for number in range(len(places))]
    pictures = [cv2.imread(str(out / f"{name}.png"), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] / 65535 for name in names]
    cameras = shot.cameras
    Ks = np.concatenate([cameras.Ks[picked], np.repeat(cameras.Ks[:1], len(places), 0)])
    path = CameraPath(np.concatenate([cameras.viewmats[picked], around]), Ks, cameras.width, cameras.height)
    return np.concatenate([walk, np.repeat(shot["vertices"][None], len(places), 0)]), path, pictures


def judge(shot: Shot, avatar: Avatar, vertices: np.ndarray, cameras: CameraPath, wanted: list[np.ndarray]) -> Any:
    """Figures by name, each a list over pictures, and our pictures over the backdrop."""
    posed = pose_avatar(avatar, vertices, Lighting.of(shot), cameras)
    face = np.flatnonzero(shot["region_ids"] == FACE)
    figures: dict[str, list[float]] = {name: [] for name in ("psnr", "face", "sharpness", "iou", "lpips")}
    shown = []
    for t, reference in enumerate(wanted):
        image, alpha = draw(posed, posed.colors[t], cameras, t)
        ours = np.clip(image + (1 - alpha[..., None]) * BACKDROP, 0, 1)
        theirs = _over(reference)
        inside = cv2.erode((reference[..., 3] > INSIDE).astype(np.uint8), np.ones((3, 3))) > 0
        error = np.square(ours - theirs).mean(-1)
        figures["psnr"].append(_decibel(error[inside]))
        x, y = cameras.project(vertices[t][face], t)[0].T
        crop = np.zeros_like(inside)
        crop[max(int(y.min()), 0) : int(y.max()) + 1, max(int(x.min()), 0) : int(x.max()) + 1] = True
        figures["face"].append(_decibel(error[inside & crop]))
        figures["sharpness"].append(float(_edges(ours)[inside].mean() / _edges(theirs)[inside].mean()))
        both, either = ((alpha > 0.5) & (reference[..., 3] > 0.5)), ((alpha > 0.5) | (reference[..., 3] > 0.5))
        figures["iou"].append(float(both.sum() / either.sum()))
        pair = [torch.from_numpy(each.astype(np.float32)).permute(2, 0, 1)[None] for each in (ours, theirs)]
        figures["lpips"].append(float(load_perceptual()(*pair)[0].numpy()[inside].mean()))
        shown.append(ours)
    return figures, shown


def _over(picture: np.ndarray) -> np.ndarray:
    return picture[..., :3] * picture[..., 3:] + (1 - picture[..., 3:]) * BACKDROP


def _decibel(error: np.ndarray) -> float:
    return float(-10 * np.log10(error.mean()))


def _edges(picture: np.ndarray) -> np.ndarray:
    grey = picture.mean(-1)
    return np.hypot(*np.gradient(grey))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only-80k", action="store_true", help="not the preset final too")
    options.add_argument("--shot", type=Path, default=ROOT / "out" / "demo" / "shot.npz")
    options.add_argument("--out", type=Path, default=ROOT / "out" / "bench" / "avatar")
    chosen = options.parse_args()
    references(chosen.out)
    shot, strip, report = Shot.load(chosen.shot), [], {}
    vertices, cameras, wanted = scene(shot, chosen.out)
    strip.append([_over(picture) for picture in wanted])
    for label, preset in (("80k", "preview"), ("150k", "final"))[: 1 if chosen.only_80k else 2]:
        settings = Settings.from_dict({"preset": preset}).avatar
        started = time.monotonic()
        fitted = fitted_avatar(shot, settings.gaussians, settings.fit_steps, 0, Progress("avatar", 1))
        report[f"fit_seconds_{label}"] = time.monotonic() - started
        report[f"held_out_db_{label}"] = fitted.notes["held_out_db"]
        AvatarFile(fitted.avatar, shot.name, label, fitted.notes).save(chosen.out / f"{label}.avatar")
        sampled = avatar_from_shot(shot, settings.gaussians, DETAIL, 0)
        for kind, avatar in (("sampled", sampled), ("fitted", fitted.avatar)):
            figures, shown = judge(shot, avatar, vertices, cameras, wanted)
            for name, values in figures.items():
                report[f"{kind}_{name}_{label}"] = float(np.mean(values[: len(FRAMES)]))
                report[f"{kind}_{name}_rest_{label}"] = float(np.mean(values[len(FRAMES) :]))
            if label == "80k":
                strip.append(shown)
        report |= {"psnr_80k": report["fitted_psnr_80k"], "psnr_rest_heldout": report["fitted_psnr_rest_80k"]}
        (chosen.out.parent / "avatar.json").write_text(json.dumps(report, indent=1))
        print(json.dumps(report, indent=1), flush=True)
    rows = [np.hstack([row[k] for k in (0, 2, 6, 8)]) for row in strip]
    picture = (np.vstack(rows)[..., ::-1].clip(0, 1) * 255 + 0.5).astype(np.uint8)
    cv2.imwrite(str(chosen.out / "avatar.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
