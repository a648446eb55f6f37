"""Rows of the table: a sequence solved and judged, kept until the sequence or the solver changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.character import UNHELD

from . import look
from .hard_set import ABOUT, SEQUENCES
from .judge import Judge, Verdict
from .shots import solids
from .solve import Solved, solve

ROOT = Path(__file__).resolve().parents[2]
HARD = ROOT / "out" / "cloth_hard"
MAKERS = (
    *(
        f"benchmarks/cloth/{name}.py"
        for name in ("acting", "animals", "hard_mesh", "hard_motion", "registry", "shots", "wardrobe")
    ),
    *(f"cloth_truth/{name}.py" for name in ("bodies", "garments", "motions")),
    "examples/demo/human.npz",
)
SOLVER = (
    "ani3dhuman/cloth",
    "ani3dhuman/mesh",
    "ani3d_formats/pins.py",
    "ani3dhuman/pipeline/stages.py",
    "benchmarks/cloth/solve.py",
)
JUDGE = ("benchmarks/cloth/judge.py",)
PICTURES = 6  # frames in a strip


def fingerprint(paths: Iterable[str]) -> str:
    """A hash of the contents of files and of the Python files of folders."""
    found = hashlib.sha256()
    for name in paths:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []:
            found.update(file.read_bytes())
    return found.hexdigest()[:12]


def commit() -> str:
    """The commit at hand, with a + where the solver or the judge is changed since; "" outside a repository."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOLVER, *JUDGE)
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


MADE = fingerprint(MAKERS)  # at once, as what is imported now is what runs, whatever becomes of the files
SOLVED = fingerprint((*MAKERS, *SOLVER, *JUDGE))
COMMIT = commit()


def shot_file(name: str) -> Path:
    """The file of a sequence's shot, made anew when its makers changed."""
    path = HARD / "shots" / f"{name}-{MADE}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{name}-*.npz"):
            old.unlink()
        SEQUENCES[name]().save(path)
    return path


def load(name: str) -> Shot:
    """The shot of a sequence."""
    return Shot.load(shot_file(name))


def row(name: str, again: bool = False) -> dict[str, Any]:
    """Figures of a sequence by our solver; kept in out/cloth_hard/ours."""
    made, key = HARD / "ours" / f"{name}.json", SOLVED
    if made.exists() and not again and (kept := json.loads(made.read_text()))["key"] == key:
        return dict(kept)
    shot = load(name)
    try:
        solved = solve(shot)
    except Exception as error:  # a failure to be counted, whatever it is
        code = error.code if isinstance(error, Ani3DError) else type(error).__name__
        detail = "" if isinstance(error, Ani3DError) else traceback.format_exc().splitlines()[-3].strip()
        found: dict[str, Any] = {
            "name": name,
            "key": key,
            "commit": COMMIT,
            "error": f"{code}: {error}",
            "detail": detail,
            "success": False,
        }
    else:
        judge = Judge(shot, solved.pins)
        verdict = judge.verdict(solved.vertices)
        found = {
            "name": name,
            "key": key,
            "commit": COMMIT,
            "about": ABOUT[name],
            **figures(shot, solved, verdict, judge),
        }
        pictures(name, shot, solved.vertices, verdict)
    write_bytes(made, json.dumps(found, indent=1).encode())
    return found


def figures(shot: Shot, solved: Solved, verdict: Verdict, judge: Judge) -> dict[str, Any]:
    """Flat figures of a solved and judged shot."""
    failed = verdict.failures
    given_up = [text for text in solved.warnings if UNHELD.format(it="") not in text]  # scraps may fall, and are named
    off = (solved.vertices - solved.rigid)[:, judge.free[: len(solved.pins)]]
    return {
        "success": not failed and not given_up,
        "failed": {name: {"frame": frame, "worst": round(worst, 3)} for name, (frame, worst) in failed.items()},
        "given_up": given_up,
        "frames": shot.frames,
        "free_vertices": int(judge.free.sum()),
        "seconds_frame": round(solved.seconds_frame, 4),
        "cpu_frame": round(solved.cpu / shot.frames, 4),
        "stretch_max": round(float(verdict.stretch.max()), 3),
        "intersections": int(verdict.pairs.max()),
        "intersections_mean": round(float(verdict.pairs.mean()), 2),
        "of_rest": int(verdict.at_rest.max()),
        "rest_total": len(judge.before),
        "of_pinned": int(verdict.held.max()),
        "depth_mm": round(float(verdict.depth_mm.max()), 2),
        "depth_excused_mm": round(float(verdict.excused_mm.max()), 2),
        "off_skeleton_cm": round(float(100 * judge.scale * np.sqrt((off**2).sum(2).mean())), 2),
    }


def pictures(name: str, shot: Shot, vertices: np.ndarray, verdict: Verdict) -> None:
    """A strip over the clip; below it the worst frame of each failure, pierced triangles in red."""
    even = np.linspace(0, shot.frames - 1, PICTURES).round().astype(int).tolist()
    rows = [look.strip(shot, vertices, even, name)]
    if worst := verdict.failures:
        skin = np.flatnonzero(shot["region_ids"] < 2)
        vertices, cells = np.concatenate([vertices, solids(shot)], axis=1), []
        for what, (frame, value) in worst.items():
            place, size = look.view_of(vertices[frame][skin])
            for heading in (look.HEADING, look.HEADING + np.pi):
                cell = look.picture(shot, vertices[frame], (place, size), verdict.marked[frame], heading)
                cells.append(look.labelled(cell, f"{what} {value:.4g}, frame {frame}"))
        rows.append(np.concatenate(cells[:PICTURES], axis=1))
    look.save(HARD / "pictures" / f"{name}.png", rows)


def told(row: dict[str, Any]) -> str:
    """One line about a row."""
    if "error" in row:
        return f"{row['name']:22s} FAILED {row['error']}"
    reasons = [f"{what} {one['worst']:g} in frame {one['frame']}" for what, one in row["failed"].items()]
    reasons += [f"given up: {text}" for text in row["given_up"]]
    verdict = "ok    " if row["success"] else "FAILED"
    speed = f"{row['seconds_frame']:.3f} s a frame, {row['free_vertices']} free"
    return f"{row['name']:22s} {verdict} {speed}, {row['off_skeleton_cm']} cm off the skeleton; {'; '.join(reasons)}"
