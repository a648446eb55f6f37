"""Memory, disk and seconds of whole jobs by length and size of the shot, and what a change computes again.

    python -m benchmarks.job            # short and long at low resolution, and the table of changes
    python -m benchmarks.job --large    # also 1080x1920 with 150,000 Gaussians

Each job runs in a process of its own, on the demo's shot, with the rigid layer as the coarse one. Rows go to
out/bench/job.json as they are found; those that are there are kept. Linux only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import write_bytes
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

from ..cut_shot import cut_shot

OUT = Path("out/bench/job.json")
PLAIN = {"preset": "preview", "coarse": "rigid", "fit_steps": 0, "sampling_steps": 2}
# name -> frames, width, height, Gaussians
LOW = {"20_low": (20, 135, 240, 5_000), "160_low": (160, 135, 240, 5_000)}
LARGE = {"6_large": (6, 1080, 1920, 150_000), "24_large": (24, 1080, 1920, 150_000)}
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "sun": {},
    "camera": {},
    "strength": {"strength": 0.5},
    "rounds": {"rounds": 2},
    "fabric": {"fabric": "silk"},
    "prompt": {"prompt": "what the compact prior does not read"},
}


def one(shot: Shot, gaussians: int) -> dict[str, float]:
    """A job, in this process: its peak in GB, its seconds, and GB on disk."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        out = animate(shot, Path(folder), Settings.from_dict({**PLAIN, "gaussians": gaussians}))
        seconds = time.monotonic() - started
        report = json.loads((out / "report.json").read_text())
        disk = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e9
        work = sum(file.stat().st_size for file in (out / ".work").rglob("*") if file.is_file()) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 * 1.024
    by_stage = {f"peak_gb_{name}": round(value, 3) for name, value in report["peak_gb"].items()}
    seconds_of = {f"seconds_{name}": round(value, 2) for name, value in report["seconds"].items()}
    whole = {"peak_gb": peak, "seconds": seconds, "disk_gb": disk, "stages_gb": work}
    return {name: round(value, 3) for name, value in whole.items()} | by_stage | seconds_of


def changes(shot: Shot) -> dict[str, list[str]]:
    """By change, the stages that are computed again."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_dict({**PLAIN, "coarse": "physics", "gaussians": 800})
        for name, values in CHANGES.items():
            out = Path(folder) / "job"
            animate(shot, out, settings)
            animate(_changed(shot, name), out, settings.changed(**values))
            report = json.loads((out / "report.json").read_text())
            stages = [stage for stage in report["seconds"] if stage not in ("cache", "pictures")]
            found[name] = [stage for stage in stages if stage not in report["reused"]]
    return found


def _changed(shot: Shot, what: str) -> Shot:
    if what == "sun":
        return replace(shot, arrays={**shot.arrays, "sun_colors": 1.1 * shot["sun_colors"]})
    if what == "camera":
        moved = shot["viewmats"].copy()
        moved[:, 2, 3] += 0.1
        return replace(shot, arrays={**shot.arrays, "viewmats": moved})
    return shot


def main() -> None:
    """Find the rows that are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--shot", type=Path, default=Path("out/demo/shot.npz"))
    parser.add_argument("--one", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        frames, width, height, gaussians = options.one
        print(json.dumps(one(cut_shot(Shot.load(options.shot), frames, width, height), gaussians)))
        return
    rows: dict[str, Any] = json.loads(OUT.read_text()) if OUT.is_file() else {}
    for name, size in (LOW | (LARGE if options.large else {})).items():
        if f"{name}_peak_gb" not in rows:
            command = [sys.executable, "-m", "benchmarks.job", "--shot", options.shot, "--one", *map(str, size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows |= {f"{name}_{key}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
            write_bytes(OUT, json.dumps(rows, indent=1).encode())
            print(name, {key: rows[f"{name}_{key}"] for key in ("peak_gb", "seconds", "disk_gb")}, flush=True)
    if "changes" not in rows:
        rows["changes"] = changes(cut_shot(Shot.load(options.shot), 4, 48, 80))
    rows["peak_160_over_20"] = round(rows["160_low_peak_gb"] / rows["20_low_peak_gb"], 3)
    each = {name: rows[f"{name}_low_seconds"] / frames for name, frames in (("20", 20), ("160", 160))}
    rows["seconds_per_frame_160_over_20"] = round(each["160"] / each["20"], 3)
    write_bytes(OUT, json.dumps(rows, indent=1).encode())
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
