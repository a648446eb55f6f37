"""The benchmark's table from what `evaluate` wrote: markdown, plot, and flat figures of the shipped default.

    python -m cloth_truth.table --eval out/cloth_truth_eval --default "prior on physics"

Writes OUT/cloth_truth.json (name: figure, each with _ci95), OUT/cloth_truth.md and OUT/cloth_truth.png. Figures of the
sampler study and of the physics benchmark are taken over where they lie in OUT already.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3d_formats.atomic import atomic_path, write_bytes
from ani3d_formats.errors import Ani3DError
from ani3dhuman.metrics.table import format_table, mean_ci, summarise

from .rows import ROWS

Rows = dict[str, dict[str, float]]  # of one sequence: row -> figures
LIFE = ("acceleration_ratio", "amplitude_ratio", "fold_ratio", "detail_ratio", "flicker_ratio")

FLAT: dict[str, Callable[[dict[str, float], dict[str, float]], float]] = {
    "acceleration_ratio": lambda row, rigid: row["acceleration_ratio"],
    "amplitude_ratio": lambda row, rigid: row["amplitude_ratio"],
    "fold_ratio": lambda row, rigid: row["fold_ratio"],
    "edge_p99": lambda row, rigid: row["edge_p99"],
    "penetration_p99_mm": lambda row, rigid: row["penetration_p99_mm"],
    "silhouette_error_reduction": lambda row, rigid: 1 - (1 - row["garment_iou"]) / (1 - rigid["garment_iou"]),
    "perceptual_reduction": lambda row, rigid: 1 - row["garment_lpips"] / rigid["garment_lpips"],
    "node_error_ratio": lambda row, rigid: row["node_error_cm"] / rigid["node_error_cm"],
    "preserved_psnr_db": lambda row, rigid: row["preserved_psnr_db"],
    "sharpness_ratio": lambda row, rigid: row["detail_ratio"],
}
"""Figures of a row against the rigid one of the same sequence."""

NEIGHBOURS = {
    "sampler_study.json": ("degraded_", "init_sensitivity_"),
    "physics.json": ("physics_seconds_81f_5k",),
}
"""Files beside the table's and how the names of their figures begin that it takes over."""


def read(folder: Path) -> list[Rows]:
    """All judged sequences. Raises `Ani3DError` ``cloth_truth.missing``."""
    found = [json.loads(path.read_text())["rows"] for path in sorted(folder.glob("*_[0-9]*.json"))]
    if not found:
        raise Ani3DError("cloth_truth.missing", f"Nothing was judged in {folder}.", "Run the evaluation first.")
    return found


def flat_figures(sequences: list[Rows], default: str) -> dict[str, float]:
    """The shipped default's figures with their 95 % half widths, sequence by sequence against rigid."""
    flat: dict[str, float] = {"sequences": float(len(sequences))}
    for name, figure in FLAT.items():
        flat[name], flat[f"{name}_ci95"] = mean_ci(figure(rows[default], rows["rigid"]) for rows in sequences)
    return flat


def from_neighbours(out: Path) -> dict[str, float]:
    """Flat figures of the studies that belong to this table and have been made: degraded starts, the physics' time."""
    found: dict[str, float] = {}
    for name, start in NEIGHBOURS.items():
        if (out / name).is_file():
            figures = json.loads((out / name).read_text())
            found |= {key: value for key, value in figures.items() if key.startswith(start)}
    return found


def plot(sequences: list[Rows], path: Path) -> None:
    """Life against closeness: each row's ratios to truth, and its node error, as bars with their 95 % intervals."""
    names = [row for row in ROWS if row in sequences[0]]
    figure = Figure(figsize=(11, 4.2))
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, width_ratios=(3, 1))
    width = 0.8 / len(names)
    for k, row in enumerate(names):
        cells = [mean_ci(s[row][key] for s in sequences) for key in LIFE]
        at = [i + (k - len(names) / 2 + 0.5) * width for i in range(len(LIFE))]
        axes[0].bar(at, [c[0] for c in cells], width, yerr=[c[1] for c in cells], label=row, error_kw={"lw": 0.8})
        mean, half = mean_ci(s[row]["node_error_cm"] for s in sequences)
        axes[1].barh(len(names) - k, mean, xerr=half, error_kw={"lw": 0.8})
    axes[0].axhspan(0.75, 1.25, color="0.9", zorder=0)
    axes[0].set(xticks=range(len(LIFE)), xticklabels=[k.removesuffix("_ratio") for k in LIFE], ylabel="ratio to truth")
    axes[0].set_ylim(0, 3)
    axes[0].legend(fontsize=8)
    axes[1].set(yticks=[len(names) - k for k in range(len(names))], yticklabels=names, xlabel="node error, cm")
    figure.suptitle(f"Cloth Truth, {len(sequences)} sequences, 95 % intervals")
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--eval", type=Path, default=Path("out/cloth_truth_eval"))
    parser.add_argument("--default", default="prior on physics", choices=ROWS, help="the row that ships")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    options = parser.parse_args()
    sequences = read(options.eval)
    rows = {name: summarise([s[name] for s in sequences]) for name in ROWS if name in sequences[0]}
    options.out.mkdir(parents=True, exist_ok=True)
    text = format_table(rows)
    write_bytes(options.out / "cloth_truth.md", text.encode())
    flat = flat_figures(sequences, options.default) | from_neighbours(options.out)
    write_bytes(options.out / "cloth_truth.json", json.dumps(flat, indent=1).encode())
    plot(sequences, options.out / "cloth_truth.png")
    print(text)
    print(json.dumps(flat, indent=1))


if __name__ == "__main__":
    main()
