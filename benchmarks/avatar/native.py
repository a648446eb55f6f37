"""Blender 5.3's own splats beside its picture of the mesh: python -m benchmarks.avatar.native [--out FOLDER].

The demo's fitted Gaussians at one frame, rendered by Cycles as native splats and as the mesh; the figure goes into
out/bench/native_splats.json, the two pictures into FOLDER.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import SH_C0
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import pose_avatar
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rigid import pose_rigid

BLENDER = ".venv-blender-5.3.0/bin/python"
BACKDROP = 0.8  # sRGB-encoded, behind both pictures
INSIDE = 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/native"))
    parser.add_argument("--blend", type=Path, default=Path("out/bench/lights/demo.blend"))
    parser.add_argument("--shot", type=Path, default=Path("out/bench/lights/demo_sun/shot.npz"))
    parser.add_argument("--avatar", type=Path, default=Path("out/bench/lights/demo.avatar"))
    parser.add_argument("--frame", type=int, default=24)
    parser.add_argument("--samples", type=int, default=96)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    shot, avatar = Shot.load(options.shot), AvatarFile.load(options.avatar).avatar
    t = [options.frame - shot.meta.frame_start]
    cameras = shot.cameras
    seen = CameraPath(cameras.viewmats[t], cameras.Ks[t], cameras.width, cameras.height, cameras.camera_type)
    vertices = pose_rigid(shot, Progress("rigid", shot.frames))[t]
    posed = pose_avatar(avatar, vertices, Lighting.of(shot).taken(np.array(t)), seen)
    radiance = np.concatenate([(posed.colors[0] - 0.5) / SH_C0, posed.opacities_at(0)[:, None]], axis=1)
    splats = {"position": posed.means[0] + np.array(shot.meta.origin), "rotation": posed.quats[0]}
    splats |= {"scale": posed.scales[0], "radiance:base": radiance}
    np.savez(options.out / "splats.npz", **{name: array.astype(np.float32) for name, array in splats.items()})
    script = ["-m", "benchmarks.avatar.native_in_blender", options.blend, options.out]
    subprocess.run([BLENDER, *map(str, script), str(options.frame), str(options.samples)], check=True)
    mesh, native = (_read(options.out / f"{name}.png") for name in ("mesh", "native"))
    inside = cv2.erode((mesh[..., 3] > INSIDE).astype(np.uint8), np.ones((3, 3))) > 0
    error = (_over(native) - _over(mesh))[inside]
    found = {
        "psnr_native_splats": round(float(-10 * np.log10(np.square(error).mean())), 2),
        "native_splats_bias": [round(float(255 * value), 2) for value in error.mean(0)],
        "samples": options.samples,
    }
    (options.out.parent / "native_splats.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


def _read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]] / 65535


def _over(picture: np.ndarray) -> np.ndarray:
    return picture[..., :3] * picture[..., 3:] + (1 - picture[..., 3:]) * BACKDROP


if __name__ == "__main__":
    main()
