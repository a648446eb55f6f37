"""The demo's dress in each fabric, as a sheet: python -m benchmarks.physics.pictures [--out docs/pictures/fabrics.png].

Needs out/demo/shot.npz, which `make demo` leaves. Rows are fabrics, columns the same frames.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.clip import CoarseClip
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.media.video import write_png
from ani3dhuman.pipeline.settings import CoarseSettings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.presentation.sheets import side_by_side
from ani3dhuman.rigid import pose_rigid

ROOT = Path(__file__).resolve().parents[2]
FABRIC_ROWS = ("silk", "cotton", "wool", "denim")
FRAMES = (8, 14, 20, 26, 38, 47)
HEIGHT = 230  # pixels of a picture in the sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "fabrics.png")
    args = parser.parse_args()
    shot = Shot.load(ROOT / "out" / "demo" / "shot.npz")
    frames, cameras = list(FRAMES), shot.cameras
    seen = CameraPath(cameras.viewmats[frames], cameras.Ks[frames], cameras.width, cameras.height)
    rigid = pose_rigid(shot, _progress(shot))
    pins, avatar = pin_weights(shot), avatar_from_shot(shot, 120_000, DETAIL)
    rows = []
    for fabric in FABRIC_ROWS:
        vertices = coarse_layer(shot, rigid, pins, CoarseSettings(fabric=fabric), _progress(shot)).vertices[frames]
        pictures = CoarseClip.of_shot(shot, avatar, rigid[frames], pins, vertices, seen).coarse_pictures().rgb
        cut = slice(int(0.3 * cameras.height), int(0.9 * cameras.height))  # the dress
        scale = HEIGHT / (cut.stop - cut.start)
        small = [cv2.resize(p[cut], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for p in pictures]
        rows.append(side_by_side({f"{fabric}  {n}": picture for n, picture in zip(FRAMES, small, strict=True)}))
    write_png(args.out, np.concatenate(rows))


def _progress(shot: Shot) -> Progress:
    return Progress("pictures", 4 * shot.frames)


if __name__ == "__main__":
    main()
