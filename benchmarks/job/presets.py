"""What presets are worth: the error of a job's mesh against Blender's cloth on validation sequences.

The mesh that a job ends with is judged; of settings that change pictures alone nothing is seen here.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3dhuman.metrics import ClipSetting, ClipVersion, judge
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.work import work
from cloth_truth.sequences import list_sequences, load_sequence

from ..refine.restored import result_of

# A mesh does not depend on how many Gaussians show it or how large: pictures are small here. `final` has the mesh of
# `preview`, whose settings differ in pictures alone. A fit of appearance is one of pixels: rounds with it have fits
SMALL = {"gaussians": 5_000, "render_scale": 0.25, "fit_steps": 0}
CASES: dict[str, dict[str, Any]] = {
    "cloth": {"preset": "cloth"},
    "draft": {"preset": "draft", **SMALL},
    "preview": {"preset": "preview", **SMALL},
    "preview, 3 rounds": {"preset": "preview", **SMALL, "rounds": 3},
    "draft, 3 rounds with fits": {"preset": "draft", **SMALL, "render_scale": 0.5, "rounds": 3, "appearance": True},
}
FIGURES = (
    "node_error_cm",
    "visible_error_cm",
    "acceleration_ratio",
    "amplitude_ratio",
    "fold_ratio",
    "penetration_p99_mm",
)


def judged(folder: Path, out: Path, choices: dict[str, Any]) -> dict[str, float]:
    """Figures of a preset's mesh on a sequence; CPU seconds and GB that the job took in this process."""
    sequence = load_sequence(folder)
    shot, before = sequence.shot, resource.getrusage(resource.RUSAGE_SELF)
    work(shot, out, Settings.from_dict(choices))
    used = resource.getrusage(resource.RUSAGE_SELF)
    report = json.loads((out / "report.json").read_text())
    setting = ClipSetting.of(sequence.clip())
    version = ClipVersion(vertices=result_of(out, shot))
    figures = judge(ClipVersion(vertices=np.asarray(sequence.truth)), version, setting)
    rigid = judge(ClipVersion(vertices=np.asarray(sequence.truth)), ClipVersion(vertices=sequence.rigid), setting)
    return {
        "error_over_rigid": figures["node_error_cm"] / rigid["node_error_cm"],
        **{name: figures[name] for name in FIGURES if name in figures},
        "cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": sum(report["seconds"].values()),
        "peak_gb": used.ru_maxrss / 1e6 * 1.024,
    }


def presets(truth: Path, folder: Path, rows: dict[str, Any], keep: Callable[[], None]) -> None:
    """Fill `rows["presets"]`: the mean over the sequences that are found of each case's figures."""
    sequences = list_sequences(truth, "validation")
    for sequence in sequences:
        for name, choices in CASES.items():
            target = folder / sequence.name / f"{name}.json"
            if not target.is_file():
                given = json.dumps({"sequence": str(sequence), "choices": choices, "target": str(target)})
                subprocess.run([sys.executable, "-m", __name__, given], check=True, env={**os.environ})
            found = [json.loads(file.read_text()) for file in sorted(folder.glob(f"*/{name}.json"))]
            means = {key: round(float(np.mean([one[key] for one in found])), 4) for key in found[0]}
            rows.setdefault("presets", {})[name] = means | {"sequences": len(found)}
            keep()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    target = Path(given["target"])
    result = target.with_suffix(".job")
    figures = judged(Path(given["sequence"]), result, given["choices"])
    write_bytes(target, json.dumps(figures, indent=1).encode())
    shutil.rmtree(result)
