"""What survives in each format, measured: the largest differences after writing and reading, and what a file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3dhuman.splats.formats import FORMATS, read_splats, write_splats
from ani3dhuman.splats.splats import Splats
from ani3dhuman.splats.usd import write_usd

from .samples import one_frame

HEAD = ("format", "places m", "turns °", "sizes %", "opacity", "colour", "by view", "to the bit", "axes said")


def measured(folder: Path, splats: Splats) -> list[tuple[str, ...]]:
    """A row for each format that is written, of the columns `HEAD`."""
    rows = []
    for each in FORMATS:
        if each.parts is None:
            continue
        path = folder / f"survives{each.ending}"
        write_splats(path, splats, None if each.fixed_axes else "z-up")
        _, named = each.read(path)
        back = read_splats(path, named or (each.axes if each.fixed_axes else "z-up"))
        path.unlink()
        back = _in_order(back, splats) if each.ending == ".splat" else back
        rows.append(_row(each.ending, back, splats, _said(each, named)))
    cache = one_frame(folder / "survives.ani3d", splats)
    path = write_usd(folder / "survives.usdc", cache, range(1, 2))
    rows.append(_row(path.suffix, read_splats(path), Splats.of_frame(cache.frame(1)), "yes"))
    return rows


def _row(ending: str, back: Splats, splats: Splats, axes: str) -> tuple[str, ...]:
    exact = [name for name in ("means", "quats", "scales", "opacities", "sh") if _same(back, splats, name)]
    return f"`{ending}`", *_differences(back, splats), ", ".join(exact) or "nothing", axes


def _said(each: object, named: str | None) -> str:
    if named:
        return "in a comment"
    return "fixed" if getattr(each, "fixed_axes", False) else "no"


def _same(back: Splats, splats: Splats, name: str) -> bool:
    a, b = getattr(back, name), getattr(splats, name)
    return bool(a.shape == b.shape and np.array_equal(a, b))


def _in_order(splats: Splats, others: Splats) -> Splats:
    from scipy.spatial import cKDTree

    return splats.chosen(cKDTree(splats.means).query(others.means)[1])


def _differences(a: Splats, b: Splats) -> tuple[str, ...]:
    p, q = (s.quats / np.linalg.norm(s.quats.astype(np.float64), axis=1, keepdims=True) for s in (a, b))
    half = np.minimum(np.linalg.norm(p - q, axis=1), np.linalg.norm(p + q, axis=1)).max() / 2
    both = min(a.sh.shape[1], b.sh.shape[1])
    by_view = "no" if both == 1 else f"degree {a.degree}, {np.abs(a.sh[:, 1:both] - b.sh[:, 1:both]).max():.2g}"
    return (
        f"{np.abs(a.means - b.means).max():.2g}",
        f"{np.degrees(4 * np.arcsin(half)):.2g}",
        f"{100 * np.abs(np.log(a.scales / b.scales)).max():.2g}",
        f"{np.abs(a.opacities - b.opacities).max():.2g}",
        f"{np.abs(a.sh[:, 0] - b.sh[:, 0]).max():.2g}",
        by_view,
    )


def table(rows: list[tuple[str, ...]], head: tuple[str, ...] = HEAD) -> str:
    """Rows as Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"
