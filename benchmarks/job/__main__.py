"""Memory, disk and seconds of whole jobs by length and size of the shot, and what a change computes again.

    python -m benchmarks.job            # short and long at low resolution, and the table of changes
    python -m benchmarks.job --large    # also 1080x1920 with 150,000 Gaussians

Each job runs in a process of its own, on the tests' small character. Rows go to out/bench/job.json as they are found;
those that are there are kept. Linux only.
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

OUT = Path("out/bench/job.json")
PLAIN = {"preset": "preview", "fit_steps": 0, "sampling_steps": 2}
# name -> frames, width, height, Gaussians
LOW = {"50_low": (50, 270, 480, 20_000), "400_low": (400, 270, 480, 20_000)}
LARGE = {"8_large": (8, 1080, 1920, 150_000), "32_large": (32, 1080, 1920, 150_000)}
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "sun": {},
    "camera": {},
    "strength": {"strength": 0.5},
    "rounds": {"rounds": 2},
    "fabric": {"fabric": "silk"},
    "prompt": {"prompt": "what the compact prior does not read"},
}


def one(frames: int, width: int, height: int, gaussians: int) -> dict[str, float]:
    """A job, in this process: its peak in GB, its seconds, and GB on disk."""
    shot = _shot(frames, width, height)
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


def changes() -> dict[str, list[str]]:
    """By change, the stages that are computed again."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shot, settings = _shot(4, 48, 80), Settings.from_dict({**PLAIN, "gaussians": 800})
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


def _shot(frames: int, width: int, height: int) -> Shot:
    from tests.synthetic import make_shot

    return make_shot(frames, width=width, height=height)


def main() -> None:
    """Find the rows that are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--one", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one)))
        return
    rows: dict[str, Any] = json.loads(OUT.read_text()) if OUT.is_file() else {}
    for name, size in (LOW | (LARGE if options.large else {})).items():
        if f"{name}_peak_gb" not in rows:
            command = [sys.executable, "-m", "benchmarks.job", "--one", *map(str, size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows |= {f"{name}_{key}": value for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
            write_bytes(OUT, json.dumps(rows, indent=1).encode())
            print(name, {key: rows[f"{name}_{key}"] for key in ("peak_gb", "seconds", "disk_gb")}, flush=True)
    if "changes" not in rows:
        rows["changes"] = changes()
    rows["peak_400_over_50"] = round(rows["400_low_peak_gb"] / rows["50_low_peak_gb"], 3)
    each = {name: rows[f"{name}_low_seconds"] / frames for name, frames in (("50", 50), ("400", 400))}
    rows["seconds_per_frame_400_over_50"] = round(each["400"] / each["50"], 3)
    write_bytes(OUT, json.dumps(rows, indent=1).encode())
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
