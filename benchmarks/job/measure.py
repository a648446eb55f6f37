"""A job in a process of its own, measured; one that was stopped goes on from its stages, and its costs add up."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import write_bytes
from ani3d_formats.progress import Report
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.job import peak_memory
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.work import work

from ..cut_shot import cut_shot

STARTED = "BENCH_JOB_STARTED"  # when the process was started, seconds as of time.time
EVERY = 5.0  # seconds between notes of what was used


@dataclass
class Costs:
    """What the processes of a job have used up to now, kept in a file that outlives them.

    Attributes:
        path: of the file.
        attempts: CPU seconds, wall seconds and peak GB of each process, in their order.
        stages: wall seconds of each stage that was computed.
        first_picture_s: from the start of the process that computed all to the first picture; None before.
    """

    path: Path
    attempts: list[dict[str, float]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    first_picture_s: float | None = None
    _noted: float = field(default=0.0, init=False, repr=False)

    @classmethod
    def begun(cls, path: Path) -> Costs:
        """With those of earlier processes, and one more."""
        costs = cls(path, **json.loads(path.read_text())) if path.is_file() else cls(path)
        costs.attempts.append({})
        return costs

    def listen(self, report: Report) -> None:
        """Note what was used, now and then."""
        since = time.time() - float(os.environ[STARTED])
        if report.step >= report.total and report.message != "found finished":
            self.stages[report.stage] = report.elapsed
        if report.preview is not None and self.first_picture_s is None and len(self.attempts) == 1:
            self.first_picture_s = since
        if time.monotonic() - self._noted > EVERY:
            self.note()

    def note(self) -> None:
        """Write down what this process has used."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        wall = time.time() - float(os.environ[STARTED])
        self.attempts[-1] = {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall, "peak_gb": peak_memory()}
        kept = {"attempts": self.attempts, "stages": self.stages, "first_picture_s": self.first_picture_s}
        write_bytes(self.path, json.dumps(kept, indent=1).encode())
        self._noted = time.monotonic()

    def rows(self) -> dict[str, float]:
        """Sums and peaks of all attempts, flat."""
        found = {name: sum(attempt.get(name, 0.0) for attempt in self.attempts) for name in ("cpu_s", "wall_s")}
        found["peak_gb"] = max(attempt.get("peak_gb", 0.0) for attempt in self.attempts)
        if self.first_picture_s is not None:
            found["first_picture_s"] = self.first_picture_s
        found |= {f"{stage}_s": seconds for stage, seconds in self.stages.items()}
        return found


def gigabytes(folder: Path) -> float:
    """Of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def measured(shot: Path, size: tuple[int, int, int], choices: dict[str, Any], folder: Path) -> dict[str, float]:
    """Rows of a job of the shot at a number of frames, width and height; `folder` is deleted when it is finished.

    `disk_gb` is the result with its stages, `result_gb` the result alone, `peak_gb_STAGE` the peak up to its end.
    """
    given = json.dumps({"shot": str(shot), "size": size, "choices": choices, "folder": str(folder)})
    here = {**os.environ, STARTED: str(time.time())}
    subprocess.run([sys.executable, "-m", __name__, given], check=True, env=here)
    rows: dict[str, float] = json.loads((folder / "rows.json").read_text())
    shutil.rmtree(folder)
    return rows


def _one(given: dict[str, Any]) -> None:
    folder, (frames, width, height) = Path(given["folder"]), given["size"]
    out = folder / "job"
    costs = Costs.begun(folder / "costs.json")
    shot = cut_shot(Shot.load(given["shot"]), frames, width, height)
    work(shot, out, Settings.from_dict(given["choices"]), listener=costs.listen)
    report = json.loads((out / "report.json").read_text())
    costs.note()
    whole, kept = gigabytes(out), gigabytes(out / ".work")
    rows = costs.rows() | {"disk_gb": whole, "result_gb": whole - kept}
    rows |= {f"peak_gb_{stage}": peak for stage, peak in report["peak_gb"].items()}
    write_bytes(folder / "rows.json", json.dumps({name: round(value, 3) for name, value in rows.items()}).encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("given", type=json.loads)
    _one(parser.parse_args().given)
