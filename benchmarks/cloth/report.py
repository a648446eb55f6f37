"""Write out/bench/cloth.json, its copy, the table and the pictures of docs/benchmarks/cloth.md, from kept rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np

from .hard_set import SEQUENCES
from .rows import HARD, ROOT, SOLVED

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PAGE = ROOT / "docs" / "benchmarks" / "cloth.md"
START, END = "<!-- table -->", "<!-- end of table -->"
PEERS = ("blender", "newton")
SHORT = {"finite": "not finite", "stretch": "stretch", "intersections": "pierced", "depth": "deep"}
UNITS = {"finite": "", "stretch": "x", "intersections": "", "depth": "mm"}
Row = dict[str, Any]


def kept(solver: str) -> dict[str, Row]:
    """Rows by sequence of a solver: "ours", or one of `PEERS`."""
    files = {name: HARD / solver / f"{name}.json" for name in SEQUENCES}
    return {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}


def of_peers(page: str) -> dict[str, list[str]]:
    """The cells of other solvers in the table of a `page`, by sequence: theirs stay where they are not run again."""
    lines = [line.split("|")[1:-1] for line in page.partition(START)[2].partition(END)[0].splitlines() if "|" in line]
    return {cells[0]: cells[-2 * len(PEERS) :] for cells in lines if cells[0] in SEQUENCES}


def flat(ours: dict[str, Row], speed: dict[int, Row], others: dict[str, float]) -> dict[str, float]:
    """All figures by name."""
    found: dict[str, float] = {
        "hard_success_rate": sum(row["success"] for row in ours.values()) / len(SEQUENCES),
        "hard_sequences": len(SEQUENCES),
        "hard_sequences_run": len(ours),
        "hard_sequences_of_this_solver": sum(row["key"] == SOLVED for row in ours.values()),
    }
    for criterion in SHORT:
        found[f"hard_failed_{criterion}"] = sum(criterion in row.get("failed", {}) for row in ours.values())
    found["hard_given_up"] = sum(bool(row.get("given_up")) for row in ours.values())
    for solver in PEERS:
        rows = kept(solver)
        if not rows:
            continue
        found[f"{solver}_sequences"] = len(rows)
        found[f"{solver}_success_rate"] = sum(row["success"] for row in rows.values()) / len(rows)
        found[f"{solver}_success_rate_ours"] = sum(ours[name]["success"] for name in rows if name in ours) / len(rows)
        both = [name for name in rows if "cpu_frame" in rows[name] and "cpu_frame" in ours.get(name, {})]
        if both:
            theirs, own = (np.array([r[name]["cpu_frame"] for name in both]) for r in (rows, ours))
            found[f"{solver}_cpu_frame"], found[f"{solver}_cpu_frame_ours"] = float(theirs.mean()), float(own.mean())
            found[f"speedup_vs_{solver}"] = float(np.median(theirs / own))
    for size, row in speed.items():
        name = f"{round(size / 1000)}k" if size != 28_500 else "28k"
        found[f"seconds_frame_{name}"], found[f"cpu_frame_{name}"] = row["seconds_frame"], row["cpu_frame"]
    for name, row in ours.items():
        found[f"{name}_success"] = float(row["success"])
        if "cpu_frame" in row:
            found[f"{name}_cpu_frame"] = row["cpu_frame"]
    return {name: float(f"{value:.5g}") for name, value in (found | others).items()}


def table(ours: dict[str, Row], before: dict[str, list[str]]) -> str:
    """A row for each sequence; without blanks, which count as words. `before`: cells of `of_peers`."""
    lines = [
        "|sequence|free|s/frame|held|commit|Blender|held|Newton|held|",
        "|---|--:|--:|---|---|--:|---|--:|---|",
    ]
    peers = {solver: kept(solver) for solver in PEERS}
    for name in SEQUENCES:
        row = ours.get(name, {})
        cells = [name, str(row.get("free_vertices", "")), f"{row['cpu_frame']:.3f}" if row.get("cpu_frame") else ""]
        old = "" if not row or row["key"] == SOLVED else "*"
        cells += [verdict(row) if row else "not&nbsp;run", row.get("commit", "") + old]
        for number, solver in enumerate(PEERS):
            other = peers[solver].get(name)
            if other is None and name in before:
                cells += before[name][2 * number : 2 * number + 2]
                continue
            cells += [f"{other['cpu_frame']:.2f}" if other and "cpu_frame" in other else "", verdict(other)]
        lines.append("|" + "|".join(cells) + "|")
    return "\n".join(lines)


def verdict(row: Row | None) -> str:
    """One cell: yes, or what failed worst and in which frame."""
    if row is None:
        return ""
    if row.get("error"):
        return "error"
    failed = row.get("failed") or {}
    told = [f"{SHORT[what]}&nbsp;{one['worst']:.3g}{UNITS[what]}&nbsp;({one['frame']})" for what, one in failed.items()]
    told += ["given&nbsp;up"] if row.get("given_up") else []
    told += [f"stopped&nbsp;at&nbsp;{row.get('frames') or 0}"] if row.get("whole") is False else []
    return ",".join(told) or "yes"


def strips(path: Path, columns: int = 3, wide: int = 600) -> None:
    """The strip of every sequence, without the rows of its failures, in columns."""
    found = []
    for name in SEQUENCES:
        file = HARD / "pictures" / f"{name}.png"
        if file.exists() and (picture := cv2.imread(str(file))) is not None:
            whole = picture[:300]
            found.append(cv2.resize(whole, (wide, round(300 * wide / whole.shape[1])), interpolation=cv2.INTER_AREA))
    found += [np.full_like(found[0], 255)] * (-len(found) % columns)
    rows = [np.concatenate(found[i : i + columns], axis=1) for i in range(0, len(found), columns)]
    cv2.imwrite(str(path), np.concatenate(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])


def plot(path: Path, speed: dict[int, Row]) -> None:
    """Processor seconds a frame against free vertices, with the line through the origin."""
    sizes = np.array([row["free_vertices"] for row in speed.values()])
    times = np.array([row["cpu_frame"] for row in speed.values()])
    figure, axes = plt.subplots(figsize=(6, 3.4), dpi=110)
    axes.loglog(sizes, times, "o-", label="processor seconds a frame")
    axes.loglog(sizes, sizes * (times / sizes).mean(), "--", color="grey", label="linear")
    axes.set_xlabel("free vertices")
    axes.minorticks_off()
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_yticks(times, [f"{time:.3g}" for time in times])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def write(speed: dict[int, Row], others: dict[str, float]) -> dict[str, float]:
    """Everything; returns the figures."""
    ours = kept("ours")
    found = flat(ours, speed, others)
    copy = PAGE.with_suffix(".json")
    old = json.loads(copy.read_text()) if copy.exists() else {}
    ours_before = [f"{name}_{what}" for name in SEQUENCES for what in ("success", "cpu_frame")]
    found = {name: value for name, value in old.items() if name not in ours_before} | found  # of what was not run again
    for path in (ROOT / "out" / "bench" / "cloth.json", copy):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if PAGE.exists():
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        rows = table(ours, of_peers(text))
        PAGE.write_text(f"{before}{START}\n\n{rows}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    if any((HARD / "pictures").glob("*.png")):
        strips(PAGE.with_suffix(".jpg"))
    if len(speed) > 1:
        plot(PAGE.with_suffix(".png"), speed)
    return found
