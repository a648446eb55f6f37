"""Avatars beside Blender's own pictures of the same meshes: python -m benchmarks.avatar.run [--out FOLDER].

Blender's pictures are kept in FOLDER and rendered where they are missing. Figures go to avatar.json beside FOLDER,
where those of parts that are not run stay; pictures side by side into FOLDER.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.human_size import human_scale
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, avatar_from_shot
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.fitting.fitted import fitted_avatar
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rigid import pose_rigid

from .judging import Scene, judge, over, read_picture, write_picture

ROOT = Path(__file__).resolve().parents[2]
BLENDER = ROOT / ".venv-blender" / "bin" / "python"
CHARACTERS = ROOT.parent / "shared" / "characters"
FRAMES = tuple(range(4, 49, 4))  # as in in_blender.py, which cannot be imported without Blender
OTHERS = ("mage", "rogue", "fox", "kenney", "robot_expressive", "hair_cards", "lace", "udim", "vertex_colors", "toon")
PICTURES = (6, 15)  # as in others_in_blender.py
PRESETS = {"80k": "preview", "150k": "final"}
GAUSSIANS = 80_000


def render(out: Path, parts: Sequence[str]) -> None:
    """Have Blender render what is missing, and export the shots."""
    last = ("shot.npz", f"f_{PICTURES[-1]:02d}.png")
    wanted = [name for name in OTHERS if name in parts and not all((out / name / file).exists() for file in last)]
    demo = set(PRESETS) & set(parts) and not ((out / "rest.json").exists() and (out / "shot.npz").exists())
    if not wanted and not demo:
        return
    out.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [BLENDER, "-m", "tools.build_extension", "--out", out], cwd=ROOT, check=True, capture_output=True, text=True
    )
    archive = built.stdout.strip().splitlines()[-1]
    if demo:
        blend = out / "demo.blend"
        subprocess.run([BLENDER, "examples/demo/build_scene.py", "--out", blend], cwd=ROOT, check=True)
        subprocess.run([BLENDER, "-m", "benchmarks.avatar.in_blender", blend, out, archive], cwd=ROOT, check=True)
    for name in wanted:
        (out / name).mkdir(exist_ok=True)
        command = [BLENDER, "-m", "benchmarks.avatar.others_in_blender", name, out / name, archive, CHARACTERS]
        subprocess.run(command, cwd=ROOT, check=True)


def demo_scene(out: Path) -> Scene:
    """The walk, then cameras around the rest pose."""
    shot = Shot.load(out / "shot.npz")
    picked = [frame - shot.meta.frame_start for frame in FRAMES]
    walk = pose_rigid(shot, Progress("rigid", shot.frames))[picked]
    places = np.array(json.loads((out / "rest.json").read_text()))
    around = np.linalg.inv(places @ np.diag([1.0, -1, -1, 1]))
    around[:, :3, 3] += around[:, :3, :3] @ np.array(shot.meta.origin)
    names = [f"f_{frame:02d}" for frame in FRAMES] + [f"r_{number}" for number in range(len(places))]
    cameras = shot.cameras
    Ks = np.concatenate([cameras.Ks[picked], np.repeat(cameras.Ks[:1], len(places), 0)])
    viewmats = np.concatenate([cameras.viewmats[picked], around.astype(np.float32)])
    return Scene(
        shot,
        np.concatenate([walk, np.repeat(shot["vertices"][None], len(places), 0)]),
        CameraPath(viewmats, Ks, cameras.width, cameras.height),
        picked + [0] * len(places),
        [read_picture(str(out / f"{name}.png")) for name in names],
    )


def other_scene(folder: Path) -> Scene:
    """Two frames of a character that is not the demo's."""
    shot = Shot.load(folder / "shot.npz")
    shot = shot.scaled(human_scale(shot["vertices"]))  # as jobs do
    picked = [frame - shot.meta.frame_start for frame in PICTURES]
    cameras = shot.cameras
    chosen = CameraPath(cameras.viewmats[picked], cameras.Ks[picked], cameras.width, cameras.height)
    pictures = [read_picture(str(folder / f"f_{frame:02d}.png")) for frame in PICTURES]
    return Scene(shot, pose_rigid(shot, Progress("rigid", shot.frames))[picked], chosen, picked, pictures)


def fit(shot: Shot, preset: str) -> tuple[Avatar, dict[str, Any]]:
    """The avatar of a preset, and its figures."""
    settings = Settings.from_dict({"preset": preset}).avatar
    started, spent = time.monotonic(), time.process_time()
    fitted = fitted_avatar(shot, settings.gaussians, settings.fit_steps, 0, Progress("avatar", 1))
    took = {"fit_seconds": time.monotonic() - started, "fit_cpu_seconds": time.process_time() - spent}
    return fitted.avatar, took | {"held_out_db": fitted.notes["held_out_db"], "notes": fitted.notes}


def measure_demo(out: Path, label: str, preset: str) -> dict[str, Any]:
    """Figures of the demo's dancer, fitted, and at 80k sampled too, with pictures."""
    scene = demo_scene(out)
    report: dict[str, Any] = {}
    avatar, figures = fit(scene.shot, preset)
    AvatarFile(avatar, scene.shot.name, label, figures.pop("notes")).save(out / f"{label}.avatar")
    report |= {f"{name}_{label}": value for name, value in figures.items()}
    strip = [[over(picture) for picture in scene.pictures]]
    kinds = {"fitted": avatar}
    if label == "80k":
        kinds = {"sampled": avatar_from_shot(scene.shot, GAUSSIANS, DETAIL, 0)} | kinds
    for kind, each in kinds.items():
        values, shown = judge(scene, each)
        strip.append(shown)
        for name, found in values.items():
            report[f"{kind}_{name}_{label}"] = float(np.mean(found[: len(FRAMES)]))
            report[f"{kind}_{name}_rest_{label}"] = float(np.mean(found[len(FRAMES) :]))
    report[f"psnr_{label}"], report[f"lpips_{label}"] = report[f"fitted_psnr_{label}"], report[f"fitted_lpips_{label}"]
    if label == "80k":
        own = {"psnr_rest_heldout": "psnr_rest", "psnr_face": "face", "sharpness": "sharpness", "iou": "iou"}
        report |= {name: report[f"fitted_{value}_80k"] for name, value in own.items()}
        report["fit_seconds"] = report["fit_seconds_80k"]
        rows = [np.hstack([row[k] for k in (2, 6, len(FRAMES), len(FRAMES) + 2)]) for row in strip]
        write_picture(str(out / "avatar.jpg"), np.vstack(rows))
    return report


def measure_character(out: Path, name: str) -> dict[str, Any]:
    """Figures of another character, and Blender's picture over ours."""
    scene = other_scene(out / name)
    avatar, figures = fit(scene.shot, "preview")
    values, shown = judge(scene, avatar)
    found = {key: float(np.mean(value)) for key, value in values.items() if value}
    found |= {key: figures[key] for key in ("fit_cpu_seconds", "held_out_db")}
    write_picture(str(out / name / "pair.png"), np.vstack([over(scene.pictures[1]), shown[1]]))
    return {f"character_{name}_{key}": value for key, value in found.items()}


def sum_up(report: dict[str, Any], out: Path) -> dict[str, Any]:
    """What is said of all other characters together, once all were measured, with a picture."""
    every = [report.get(f"character_{name}_psnr") for name in OTHERS]
    if None in every:
        return {}
    pairs = [out / name / "pair.png" for name in OTHERS]
    if all(pair.exists() for pair in pairs):
        write_picture(str(out / "characters.jpg"), np.hstack([read_picture(str(pair))[..., :3] for pair in pairs]))
    return {"psnr_characters_mean": float(np.mean(every)), "psnr_characters_least": float(np.min(every))}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", nargs="+", choices=("80k", "150k", *OTHERS), default=("80k", "150k", *OTHERS))
    options.add_argument("--out", type=Path, default=ROOT / "out" / "bench" / "avatar")
    chosen = options.parse_args()
    render(chosen.out, chosen.parts)
    path = chosen.out.parent / "avatar.json"
    for part in chosen.parts:
        if part in PRESETS:
            found = measure_demo(chosen.out, part, PRESETS[part])
        else:
            found = measure_character(chosen.out, part)
        report = (json.loads(path.read_text()) if path.exists() else {}) | found
        path.write_text(json.dumps(report | sum_up(report, chosen.out), indent=1) + "\n")
        print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
