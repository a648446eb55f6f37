"""`python -m benchmarks.formats [--shot SHOT]`: writes out/bench/formats.json."""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import SH_C0, GaussianFrames
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.clip import CoarseClip
from ani3dhuman.pipeline.import_avatar import import_avatar
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.splats.formats import FORMATS, read_splats, write_splats
from ani3dhuman.splats.ply import read_ply
from ani3dhuman.splats.sequences import write_sequence
from ani3dhuman.splats.splats import COEFFICIENTS, Splats

from .others import exchange, install
from .round_trip import round_trip

MILLION, SEQUENCE, FRAMES = 1_000_000, 100_000, 81
ROUNDS = 5
DAMAGED = 300
WALK_FRAMES = 12


def some(count: int, degree: int, seed: int = 0) -> Splats:
    """Gaussians of a person's size."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Splats(
        rng.normal(0, 0.5, (count, 3)).astype(np.float32),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.normal(-5, 0.7, (count, 3))).astype(np.float32),
        rng.uniform(0.02, 0.98, count).astype(np.float32),
        rng.normal(0, 0.2, (count, COEFFICIENTS[degree], 3)).astype(np.float32),
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def reading(folder: Path) -> dict[str, float]:
    """A PLY of a million Gaussians with all coefficients: our reader and gsply's in turns."""
    import gsply

    path = folder / "million.ply"
    write_splats(path, some(MILLION, 3), "y-down")
    ours, whole, theirs = [], [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: read_ply(path)))
        theirs.append(seconds(lambda: gsply.plyread(str(path))))
        whole.append(seconds(lambda: read_splats(path, "z-up")))
    path.unlink()
    ratio = float(np.median(np.array(theirs) / ours))
    return {"read_1m_seconds": min(ours), "read_checked_1m_seconds": min(whole), "read_over_gsply": ratio}


def writing(folder: Path) -> dict[str, float]:
    """81 frames of 100,000 Gaussians as PLY, beside the same bytes written and synced without a thought."""
    one = some(SEQUENCE, 0)
    moving = np.repeat(one.means[None], FRAMES, 0) + np.arange(FRAMES, dtype=np.float32)[:, None, None] * 0.01
    still = (np.broadcast_to(each, (FRAMES, *each.shape)) for each in (one.quats, one.scales))
    quats, scales = still
    gaussians = GaussianFrames(moving, quats, scales, one.opacities, np.broadcast_to(one.colors, (FRAMES, SEQUENCE, 3)))
    cache = FrameCache.open(write_cache(folder / "long.ani3d", gaussians, fps=24, frame_start=1))
    files = write_sequence(cache, folder / "sequence", "ply", range(1, FRAMES + 1), "z-up")
    contents = files[0].read_bytes()

    def raw() -> None:
        for k in range(FRAMES):
            with open(folder / "raw" / f"{k}.ply", "wb") as file:
                file.write(contents)
                os.fsync(file.fileno())

    (folder / "raw").mkdir(exist_ok=True)
    shares = []
    for _ in range(3):
        own = seconds(lambda: write_sequence(cache, folder / "sequence", "ply", range(1, FRAMES + 1), "z-up"))
        shares.append(seconds(raw) / own)
    return {"sequence_write_share": float(np.median(shares)), "sequence_mb": len(contents) * FRAMES / 1e6}


def damaged(folder: Path) -> dict[str, float]:
    """Sound files of every format, cut, with bytes flipped, or with wild counts: refused, or read to sound numbers."""
    rng = np.random.default_rng(0)
    sound = {each.ending: folder / f"d{each.ending}" for each in FORMATS if each.parts}
    for path in sound.values():
        write_splats(path, some(200, 2))
    contents = {path: path.read_bytes() for path in sound.values()}
    wrong = 0
    for number in range(DAMAGED):
        path = list(contents)[number % len(contents)]
        data = bytearray(contents[path])
        if number % 3 == 0:
            data = data[: int(rng.integers(len(data)))]
        elif number % 3 == 1:
            for place in rng.integers(0, len(data), 4):
                data[place] = int(rng.integers(256))
        else:
            place = int(rng.integers(0, min(400, len(data) - 4)))
            data[place : place + 4] = b"\xff\xff\xff\x7f"
        path.write_bytes(bytes(data))
        try:
            read = read_splats(path)
            wrong += not (np.isfinite(read.means).all() and np.isfinite(read.sh).all())
        except Ani3DError as refused:
            wrong += not refused.code.startswith("splats.")
        except Exception as error:
            print(f"{path.name}, number {number}: {type(error).__name__}: {error}")
            wrong += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"malformed": DAMAGED, "malformed_bad": wrong, "malformed_peak_gb": peak}


def person(folder: Path, shot: Shot) -> dict[str, float]:
    """The demo's dancer as a PLY, taken in again with nothing but it, the mesh and the armature."""
    own = avatar_from_shot(shot, 80_000, DETAIL)
    means, quats = own.pose(shot["vertices"][None])
    dc = ((linear_to_srgb(own.albedo) - 0.5) / SH_C0)[:, None].astype(np.float32)
    write_splats(folder / "dancer.ply", Splats(means[0], quats[0], own.scales, own.opacities, dc))
    read = read_splats(folder / "dancer.ply")
    bound, _ = import_avatar(read, shot, folder / "dancer.avatar", "dancer.ply", relight=True)
    rigid = pose_rigid(shot, Progress("pose", shot.frames))
    chosen = np.linspace(0, shot.frames - 1, WALK_FRAMES).astype(int)
    posed, true = (avatar.pose(rigid[chosen])[0] for avatar in (bound.avatar, own))
    apart = np.linalg.norm(posed - true[:, bound.kept], axis=2)
    labels = bound.avatar.region_ids == own.region_ids[bound.kept]
    return {
        "avatar_psnr": likeness(shot, rigid, bound.avatar, own, chosen),
        "avatar_median_mm": 1000 * float(np.median(apart)),
        "avatar_p99_mm": 1000 * float(np.percentile(apart, 99)),
        "avatar_labels": float(labels.mean()),
        "avatar_kept": float(bound.kept.mean()),
    }


def likeness(shot: Shot, rigid: np.ndarray, first: Avatar, second: Avatar, chosen: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two avatars' pictures, inside the silhouettes."""
    pins = np.ones(len(shot["vertices"]), np.float32)
    pictures, alphas = [], []
    for avatar in (first, second):
        clip = CoarseClip.of_shot(shot, avatar, rigid, pins)
        drawn, alpha = (np.asarray(part) for part in clip.rendered(rigid))
        pictures.append(drawn[chosen])
        alphas.append(alpha[chosen])
    inside = np.maximum(*alphas) > 0.5
    return float(-10 * np.log10(np.mean((pictures[0] - pictures[1])[inside] ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shot", type=Path, default=Path("out/demo/shot.npz"), help="of the demo (make demo)")
    parser.add_argument("--result", type=Path, help="its NAME.ani3d: meshes through Blender and back")
    parser.add_argument("--out", type=Path, default=Path("out/bench/formats"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    figures = damaged(options.out)
    figures |= reading(options.out) | writing(options.out)
    if install(options.out / "peers"):
        figures |= exchange(options.out / "peers", some(2000, 3))
    if options.result:
        figures |= round_trip(options.out, FrameCache.open(options.result), Shot.load(options.shot))
    figures |= person(options.out, Shot.load(options.shot))
    path = options.out.with_suffix(".json")
    path.write_text(json.dumps({k: round(v, 4) for k, v in figures.items()}, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
