"""A person of Gaussians from a file through the whole job, as a user types it: import, coarse, restore, refine, cache,
film, and out again. The person is the demo's dancer, of whom nothing but a PLY with colour by view is given.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.splats import Splats

from .person import as_splats

GAUSSIANS = 30_000
COMMAND = "import sys; from ani3dhuman.cli import main; sys.exit(main(sys.argv[1:]))"
STAGES = Path("out/demo/engine_store/stages")
SHINE = 0.12  # of a coefficient of the first degree: colours that change visibly as the camera goes round


def dancer(shot: Shot, count: int = GAUSSIANS) -> Splats:
    """The demo's dancer as a trainer would have her: places, turns, sizes, colours of degree 1."""
    own = avatar_from_shot(shot, count, DETAIL)
    plain = as_splats(shot, own)
    rest = np.zeros((own.count, 3, 3))
    rest[:, 2] = SHINE * own.normals(shot["vertices"])[:, :1]  # brighter along x where the surface faces it
    return replace(plain, sh=np.concatenate([plain.sh, rest], axis=1).astype(np.float32))


def whole_job(path: Path, out: Path, stages: Path = STAGES) -> dict[str, float]:
    """Run all commands on the shot at `path`: seconds of each, and what came out.

    Args:
        stages: the demo's finished stages, of which its cloth is taken.
    """
    shutil.rmtree(out, ignore_errors=True)  # finished stages of an earlier run would be taken
    out.mkdir(parents=True)
    shot = Shot.load(path)
    person = dancer(shot)
    write_splats(out / "person.ply", person)
    result, first = out / "result" / f"{shot.name}.ani3d", shot.meta.frame_start
    frames = f"{first + 20}:{first + 22}"
    known = ["--stages", stages] if stages.is_dir() else []
    job = ["--preset", "draft", "--set", f"avatar_file={out / 'person.avatar'}", *known]
    seconds = {}
    for name, words in {
        "import": ["import", out / "person.ply", "--shot", path, "-o", out / "person.avatar"],
        "animate": ["animate", path, "-o", out / "result", *job],
        "film": ["render", result, "--shot", path, "-o", out / "film", "--format", "png", "--frames", frames],
        "ply": ["export", result, "-o", out / "ply", "--frames", frames],
        "usd": ["export", result, "-o", out / "walk.usdc", "--shot", path, "--frames", frames],
        "glb": ["export", result, "-o", out / "walk.glb", "--shot", path, "--gaussians"],
        "view": ["view", result, "--shot", path, "--html", out / "walk.html", "--frames", frames],
    }.items():
        start = time.perf_counter()
        command = [sys.executable, "-c", COMMAND, *(str(word) for word in words)]
        subprocess.run(command, check=True)
        seconds[f"job_{name}_seconds"] = round(time.perf_counter() - start, 2)
    moved = Splats.of_frame(FrameCache.open(result).frame(first + 20))
    back = read_splats(sorted((out / "ply").glob("*.ply"))[0])
    return {
        "whole_job": 1.0,
        "whole_job_seconds": sum(seconds.values()),
        "job_gaussians": moved.count,
        "job_degree": moved.degree,
        "job_coefficients_out_again": float(np.abs(back.sh - moved.sh).max()),
        **seconds,
    }
