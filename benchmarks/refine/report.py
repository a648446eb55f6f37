"""The table and the flat figures of refinement, from fits that `run`, `restored` and `speed` have made.

    python -m benchmarks.refine.report --split test

Writes out/bench/refine.json, .md and .png, and refine_strips.jpg. Ratios to a truth that stands still are left out of
means.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3d_formats.atomic import write_bytes
from ani3dhuman.metrics.table import mean_ci
from ani3dhuman.presentation.style import GRID, STYLE
from ani3dhuman.refinement import RefinementConfig

from .run import STEPS

STRIP_GAP = 24  # pixels
Rows = dict[str, dict[str, list[float]]]
SHOWN = {
    "vertex_error_ratio": "visible error / rigid",
    "hidden_error_ratio": "hidden",
    "front_gain_db": "seen view, dB over rigid",
    "side_gain_db": "view 60 degrees off, dB over rigid",
    "side_sharpness_ratio": "sharpness",
    "side_flicker_ratio": "flicker / truth",
    "overstretched_share": "edges beyond 1.3",
    "penetration_p99_mm": "inside p99, mm",
    "body_drift_mm": "body drift, mm",
    "seconds": "seconds",
}


def collect(out: Path, split: str) -> Rows:
    """Figures of all sequences by kind of fit and name, sequences in the same order."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for path in sorted(out.glob(f"{split}_*/*.json")):
        kind = path.parent.name.removeprefix(f"{split}_")
        found = json.loads(path.read_text())
        for name, figures in found.items() if kind == "restored" else [(kind, found)]:
            for key, value in figures.items():
                rows[name][key].append(value)
    return rows


def table(rows: Rows) -> str:
    """Markdown, a line for each kind of fit."""
    lines = ["| fit | " + " | ".join(SHOWN.values()) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    for name, figures in rows.items():
        cells = []
        for key in SHOWN:
            mean, half = mean_ci(figures[key]) if key in figures else (float("nan"), float("nan"))
            cells.append("-" if np.isnan(mean) else f"{mean:.3g} ± {half:.2g}" if half > 0 else f"{mean:.3g}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def headline(rows: Rows, start: str) -> dict[str, float]:
    """Flat figures with their 95 % half widths; those of true videos are of fits from `start`."""
    kind = RefinementConfig().field_kind
    one, three = (rows[f"{start}_{n}_views_{kind}_{STEPS}"] for n in (1, 3))
    cells = {
        "vertex_error_ratio_true_1view": one["vertex_error_ratio"],
        "vertex_error_ratio_true_3views": three["vertex_error_ratio"],
        "heldout_view_gain_db": one["side_gain_db"],
        "heldout_view_gain_3views_db": three["side_gain_db"],
        "body_drift_mm": [max(one["body_drift_mm"] + three["body_drift_mm"])],
        "penetration_p99_mm": one["penetration_p99_mm"],
        "overstretched_share": one["overstretched_share"],
        "flicker_ratio": one["side_flicker_ratio"],
    }
    if "restored" in rows:
        last, single, restored = (rows[name] for name in ("3 rounds", "1 rounds", "restored"))
        cells["restored_gap_db"] = _less(restored["front_psnr_db"], last["front_psnr_db"])
        cells["restored_side_gap_db"] = _less(restored["side_psnr_db"], last["side_psnr_db"])
        cells["rounds_side_gain_db"] = _less(last["side_psnr_db"], single["side_psnr_db"])
        cells["rounds_error_change"] = _less(last["vertex_error_ratio"], single["vertex_error_ratio"])
        cells["rounds_hidden_error_change"] = _less(last["hidden_error_ratio"], single["hidden_error_ratio"])
        cells["sharpness_ratio"] = last["front_sharpness_ratio"]
    flat = {"sequences": float(len(one["vertex_error_ratio"]))}
    for name, values in cells.items():
        mean, half = mean_ci(values)
        flat[name] = mean
        if len(values) > 1:
            flat[f"{name}_ci95"] = half
    return flat


def plot(rows: Rows, path: Path) -> None:
    """A dot for each sequence and a bar for the mean, by kind of fit."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 0.42 * len(rows) + 1.4), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        panels = (
            ("vertex_error_ratio", "Visible error / rigid"),
            ("side_gain_db", "RestoredView 60 degrees off, dB over rigid"),
        )
        for axes, (key, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
            for line, figures in enumerate(rows.values()):
                values = figures[key]
                axes.barh(line, np.mean(values), color="#9dc3e6", height=0.6)
                axes.plot(values, [line] * len(values), "o", color="#2e6fbb", ms=4, alpha=0.7)
            axes.set_title(title)
            axes.grid(axis="x", color=GRID, lw=0.6)
            axes.set_axisbelow(True)
        figure.axes[0].set_yticks(range(len(rows)), rows)
        figure.axes[0].invert_yaxis()
        figure.savefig(path)


def strips(out: Path, split: str, start: str, path: Path) -> None:
    """Beside each other what `run` and `restored` drew of their first sequences, three paths and three rounds."""
    kinds = f"{start}_3_views_{RefinementConfig().field_kind}_{STEPS}", "restored"
    found = [next(iter(sorted((out / f"{split}_{kind}").glob("*.png"))), None) for kind in kinds]
    sheets = [sheet for strip in found if strip and (sheet := cv2.imread(str(strip))) is not None]
    apart = [np.pad(sheet, ((0, 0), (0, STRIP_GAP), (0, 0)), constant_values=255) for sheet in sheets]
    if apart:
        whole = np.concatenate(apart, 1)[:, :-STRIP_GAP]
        cv2.imwrite(str(path), cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))


def _less(a: list[float], b: list[float]) -> list[float]:
    return list(np.subtract(a, b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out/refine"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--start", default="physics", help="layer that the flat figures' fits start from")
    options = parser.parse_args()
    rows = collect(options.out, options.split)
    flat = headline(rows, options.start)
    speed = Path("out/bench/refine_speed.json")
    if speed.exists():
        measured = json.loads(speed.read_text())
        flat |= {"seconds_81f_50k": measured["seconds"], "peak_gb": measured["peak_gb"]}
        flat |= {"evaluation_seconds_81f": measured["evaluation_seconds"]}
        flat |= {"loss_over_longer": measured["loss_over_longer"]}
    write_bytes(Path("out/bench/refine.json"), json.dumps(flat, indent=1).encode())
    write_bytes(Path("out/bench/refine.md"), (table(rows) + "\n").encode())
    plot(rows, Path("out/bench/refine.png"))
    strips(options.out, options.split, options.start, Path("out/bench/refine_strips.jpg"))
    print(table(rows))
    print(json.dumps(flat, indent=1))


if __name__ == "__main__":
    main()
