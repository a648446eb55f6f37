"""Memory, disk and seconds of whole jobs by length and size of the shot; what each preset is worth; an earlier commit.

    python -m benchmarks.job                    # all parts but those that take an hour
    python -m benchmarks.job large presets      # those that are named
    python -m benchmarks.job full               # 250 frames at 1080x1920, and 1,000 frames
    python -m benchmarks.job long               # 1,000 frames at 1080x1920, and 15 GB of disk

Rows go to out/bench/job.json as they are found; those that are there are kept, and a job that was stopped goes on from
its finished stages: any part may be stopped and started again. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ani3d_formats.atomic import write_bytes

from .half import half_precision
from .measure import measured
from .presets import presets
from .speedup import speedup

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench" / "job.json"
WORK = ROOT / "out" / "bench" / "job"
# name -> frames, width, height, and the settings. Cloth and fits, whose memory the demo's page has, are left out where
# the length of the shot is what counts
LOW = {"preset": "preview", "coarse": "rigid", "fit_steps": 0, "sampling_steps": 2, "gaussians": 5_000}
LARGE = {"preset": "preview", "gaussians": 150_000, "fit_steps": 0}
Sizes = dict[str, tuple[tuple[int, int, int], dict[str, Any]]]
LENGTHS: Sizes = {"50_low": ((50, 135, 240), LOW), "250_low": ((250, 135, 240), LOW)}
# encoders hold the first frames back, so that the shorter one is not very short
LARGER: Sizes = {"12_large": ((12, 1080, 1920), LARGE), "32_large": ((32, 1080, 1920), LARGE)}
FULL: Sizes = {"250_large": ((250, 1080, 1920), LARGE), "1000_low": ((1000, 135, 240), LOW)}
LONG: Sizes = {"1000_large": ((1000, 1080, 1920), LARGE)}
STANDIN = "tests/pipeline/test_other_device.py"
PARTS = ("first", "lengths", "large", "standin", "speedup", "presets", "half")


class Rows:
    """Figures that are found one after the other, kept in `OUT`."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = json.loads(OUT.read_text()) if OUT.is_file() else {}

    def keep(self) -> None:
        write_bytes(OUT, json.dumps(self.found, indent=1).encode())

    def jobs(self, shot: Path, sizes: Sizes) -> None:
        """Those of jobs by name; what each frame more takes, between the shortest of a kind and the others."""
        for name, (size, choices) in sizes.items():
            if f"{name}_peak_gb" not in self.found:
                rows = measured(shot, size, choices, WORK / name)
                self.found |= {f"{name}_{key}": value for key, value in rows.items()}
                self.keep()
            print(name, {key: self.found[f"{name}_{key}"] for key in ("peak_gb", "disk_gb", "cpu_s")}, flush=True)

    def ratios(self) -> None:
        """What follows from the rows of several jobs."""
        for name, long in (("250", "250_low"), ("1000", "1000_low")):
            if {f"{long}_cpu_s", "50_low_cpu_s"} <= self.found.keys():
                each = self.found[f"{long}_cpu_s"] / int(name), self.found["50_low_cpu_s"] / 50
                self.found[f"seconds_per_frame_{name}_over_50"] = round(each[0] / each[1], 3)
                self.found[f"peak_{name}_over_50"] = round(
                    self.found[f"{long}_peak_gb"] / self.found["50_low_peak_gb"], 3
                )
        if {"12_large_peak_gb", "32_large_peak_gb"} <= self.found.keys():
            for key in ("peak_gb", "disk_gb"):
                short, long = (self.found[f"{count}_large_{key}"] for count in (12, 32))
                self.found[f"{key}_250f_1080p_foretold"] = round(long + (250 - 32) * (long - short) / 20, 2)
        for key in ("peak_gb", "disk_gb"):
            if f"250_large_{key}" in self.found:
                self.found[f"{key}_250f_1080p"] = self.found[f"250_large_{key}"]
        self.keep()


def first_picture(shot: Path) -> dict[str, float]:
    """Seconds from a process's start to the first picture, kernels compiled: the second of two such jobs."""
    rows = [measured(shot, (48, 480, 832), {"preset": "draft"}, WORK / "first") for _ in range(2)][1]
    return {"first_picture_s": rows["first_picture_s"]}


def standin() -> dict[str, float]:
    """How far the results of jobs on a device that is not the CPU are from the CPU's, by the tests of that."""
    report = WORK / "standin.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", STANDIN, "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run(command, cwd=ROOT, check=True)
    found = [
        (case.get("name", ""), float(entry.get("value", "nan")))
        for case in ElementTree.parse(report).iter("testcase")
        for entry in case.iter("property")
        if entry.get("name") == "standin_difference"
    ]
    meshes = [value for name, value in found if "meshes" in name or "video" in name]
    return {"standin_max_difference": max(meshes), "standin_max_difference_of_fits": max(value for _, value in found)}


def main() -> None:
    """Find the rows that are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "parts",
        nargs="*",
        choices=(*PARTS, "full", "long", []),
        metavar="PART",
        help=", ".join((*PARTS, "full", "long")),
    )
    parser.add_argument("--shot", type=Path, default=ROOT / "out" / "demo" / "shot.npz")
    parser.add_argument("--truth", type=Path, default=ROOT / "out" / "cloth_truth", help="validation sequences of it")
    options = parser.parse_args()
    rows = Rows()
    for part in options.parts or PARTS:
        if part in ("lengths", "large", "full", "long"):
            rows.jobs(options.shot, {"lengths": LENGTHS, "large": LARGER, "full": FULL, "long": LONG}[part])
        elif part == "first":
            rows.found |= first_picture(options.shot)
        elif part == "standin" and "standin_max_difference" not in rows.found:
            rows.found |= standin()
        elif part == "speedup":
            speedup(options.shot, WORK / "speedup", rows.found, rows.keep)
        elif part == "presets":
            presets(options.truth, WORK / "presets", rows.found, rows.keep)
        elif part == "half":
            rows.found |= half_precision(next((options.shot.parent / "result").glob("*.ani3d")), options.shot)
        rows.ratios()
    print(json.dumps(rows.found, indent=1))


if __name__ == "__main__":
    main()
