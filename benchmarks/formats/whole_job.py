"""A person of Gaussians from a file through the whole job, as a user types it: import, coarse, restore, refine, cache,
film, and out again. The person is the demo's dancer, of whom nothing but a PLY with colour by view is given.

    python -m benchmarks.formats.whole_job [--shot out/demo/shot.npz] [--out out/bench/formats_job]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import SH_C0
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.splats import Splats

GAUSSIANS = 30_000
COMMAND = "import sys; from ani3dhuman.cli import main; sys.exit(main(sys.argv[1:]))"
SHINE = 0.12  # of a coefficient of the first degree: colours that change visibly as the camera goes round


def dancer(shot: Shot, count: int = GAUSSIANS) -> Splats:
    """The demo's dancer as a trainer would have her: places, turns, sizes, colours of degree 1."""
    own = avatar_from_shot(shot, count, DETAIL)
    means, quats = own.pose(shot["vertices"][None])
    dc = ((linear_to_srgb(own.albedo) - 0.5) / SH_C0)[:, None]
    rest = np.zeros((own.count, 3, 3))
    rest[:, 2] = SHINE * own.normals(shot["vertices"])[:, :1]  # brighter along x where the surface faces it
    sh = np.concatenate([dc, rest], axis=1).astype(np.float32)
    return Splats(means[0] + np.asarray(shot.meta.origin, np.float32), quats[0], own.scales, own.opacities, sh)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shot", type=Path, default=Path("out/demo/shot.npz"))
    parser.add_argument("--out", type=Path, default=Path("out/bench/formats_job"))
    parser.add_argument("--stages", type=Path, default=Path("out/demo/engine_store/stages"))
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    shot = Shot.load(options.shot)
    person = dancer(shot)
    write_splats(out / "person.ply", person)
    result, first = out / "result" / f"{shot.name}.ani3d", shot.meta.frame_start
    frames = f"{first + 20}:{first + 22}"
    stages = ["--stages", options.stages] if options.stages.is_dir() else []
    job = ["--preset", "draft", "--set", f"avatar_file={out / 'person.avatar'}", *stages]
    seconds = {}
    for name, words in {
        "import": ["import", out / "person.ply", "--shot", options.shot, "-o", out / "person.avatar"],
        "animate": ["animate", options.shot, "-o", out / "result", *job],
        "film": ["render", result, "--shot", options.shot, "-o", out / "film", "--format", "png", "--frames", frames],
        "ply": ["export", result, "-o", out / "ply", "--frames", frames],
        "usd": ["export", result, "-o", out / "walk.usdc", "--shot", options.shot, "--frames", frames],
        "view": ["view", result, "--shot", options.shot, "--html", out / "walk.html", "--frames", frames],
    }.items():
        start = time.perf_counter()
        command = [sys.executable, "-c", COMMAND, *(str(word) for word in words)]
        subprocess.run(command, check=True)
        seconds[f"{name}_seconds"] = round(time.perf_counter() - start, 2)
    cache = FrameCache.open(result)
    moved = Splats.of_frame(cache.frame(first + 20))
    back = read_splats(sorted((out / "ply").glob("*.ply"))[0])
    figures = {
        "gaussians": moved.count,
        "degree": moved.degree,
        "coefficients_out_again": float(np.abs(back.sh - moved.sh).max()),
        **seconds,
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
