"""What a frame cache holds, as a text table and as one picture."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3d_formats.atomic import write_bytes
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import SH_C0

from .style import GRID, INK, STYLE

AXES = {"x": "#d1495b", "y": "#3a7d44", "z": "#2e6fbb"}
MAX_POINTS = 30_000  # more dots than this only slow the picture down


def describe(path: Path) -> str:
    """The cache at `path` as a table: frames, counts, bytes per attribute, size and motion.

    Raises the errors of `FrameCache.open`.
    """
    cache = FrameCache.open(path)
    head = cache.manifest
    total = sum(entry.bytes for entry in head.entries)
    low, high = bounding_box(cache)
    amplitude = motion_amplitude(cache)
    seconds = head.frames / head.fps
    lines = [
        f"{cache.path.name}: {_counted(cache)}, {head.frames} frames "
        f"({head.frame_start}..{head.frame_end}) at {head.fps:g} fps = {seconds:.2f} s, {_size(total)}",
        "",
        f"  {'attribute':<16}{'shape':<20}{'stored':<11}{'bytes':>11}   range",
    ]
    for entry in head.attributes:
        values = cache.arrays[entry.name]
        shape = " x ".join(str(n) for n in entry.shape)
        kind = "once" if entry.static else "per frame"
        span = f"{values.min():.4g} .. {values.max():.4g}"
        lines.append(f"  {entry.name:<16}{shape:<20}{kind:<11}{_size(entry.bytes):>11}   {span}")
    for mesh, points in zip(head.meshes, cache.meshes().values(), strict=True):
        shape = " x ".join(str(n) for n in points.vertices.shape)
        lines.append(f"  {mesh.file:<16}{shape:<20}{'per frame':<11}{_size(mesh.bytes):>11}   mesh {mesh.object!r}")
    size = (high - low).max(axis=0)
    lines += [
        "",
        f"  largest extent   {size[0]:.3f} x {size[1]:.3f} x {size[2]:.3f} m",
        f"  motion           median {np.median(amplitude) * 100:.1f} cm, 95 % below "
        f"{np.percentile(amplitude, 95) * 100:.1f} cm, largest {amplitude.max() * 100:.1f} cm "
        "(RMS about the moving centre)",
    ]
    lines += [f"  {key:<16} {value}" for key, value in head.provenance.items()]
    return "\n".join(lines)


def _counted(cache: FrameCache) -> str:
    count = cache.manifest.count
    return f"{count:,} Gaussians" if count else f"{points_of(cache).shape[1]:,} vertices"


def points_of(cache: FrameCache) -> np.ndarray:
    """Places (T,N,3), metres: of the Gaussians, or of the meshes' vertices where there are none."""
    if cache.manifest.count:
        return cache.arrays["position"]
    return np.concatenate([mesh.vertices for mesh in cache.meshes().values()], axis=1)


def bounding_box(cache: FrameCache) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of all positions in each frame: two (T,3), metres."""
    positions = points_of(cache)
    return np.stack([f.min(axis=0) for f in positions]), np.stack([f.max(axis=0) for f in positions])


def motion_amplitude(cache: FrameCache) -> np.ndarray:
    """How far each Gaussian swings (N,), metres: RMS distance from its mean place relative to the frame's centre.

    Taking the centre out keeps a walking character's travel from hiding how its parts move.
    """
    positions = points_of(cache)
    mean = np.zeros(positions.shape[1:])
    square = np.zeros(positions.shape[1])
    for frame in positions:
        local = frame.astype(np.float64) - frame.mean(axis=0, dtype=np.float64)
        mean += local
        square += (local**2).sum(axis=1)
    mean /= len(positions)
    return np.sqrt(np.maximum(square / len(positions) - (mean**2).sum(axis=1), 0.0))


def plot(path: Path, png: Path) -> None:
    """Draw the cache at `path` into the picture `png`: front and top view, extent, motion, storage."""
    cache = FrameCache.open(path)
    head = cache.manifest
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 7.2), dpi=110, layout="constrained")
        grid = figure.add_gridspec(3, 3, width_ratios=[1.0, 1.0, 1.15])
        figure.suptitle(
            f"{cache.path.name}    {_counted(cache)}, {head.frames} frames at {head.fps:g} fps",
            x=0.01,
            ha="left",
            fontsize=12,
        )
        middle = head.frames // 2
        _draw_view(figure.add_subplot(grid[:, 0]), cache, middle, (0, 2, 1), "Front")
        _draw_view(figure.add_subplot(grid[:2, 1]), cache, middle, (0, 1, 2), "Top, with the path of the centre")
        _draw_storage(figure.add_subplot(grid[2, 1]), cache)
        _draw_box(figure.add_subplot(grid[0, 2]), cache)
        _draw_speed(figure.add_subplot(grid[1, 2]), cache)
        _draw_amplitude(figure.add_subplot(grid[2, 2]), cache)
        data = io.BytesIO()
        FigureCanvasAgg(figure).print_png(data)
    write_bytes(Path(png), data.getvalue())


def _draw_view(axes: Axes, cache: FrameCache, t: int, order: tuple[int, int, int], title: str) -> None:
    """Positions of frame index `t` over axes order[0], order[1], nearest last along order[2]."""
    across, up, depth = order
    head = cache.manifest
    positions = points_of(cache)
    radiance = cache.arrays.get("radiance:base", np.tile(np.array([0, 0, 0, 0.6], np.float32), (positions.shape[1], 1)))
    if radiance.ndim == 3:
        radiance = radiance[t]
    step = max(1, positions.shape[1] // MAX_POINTS)
    points, base = positions[t][::step], radiance[::step]
    # the front view looks along +Y, the top view down along -Z: what is nearest to the eye is drawn last
    rank = np.argsort(-points[:, depth] if depth == 1 else points[:, depth])
    rgba = np.clip(np.concatenate([base[:, :3] * SH_C0 + 0.5, base[:, 3:]], axis=1), 0, 1)
    axes.scatter(points[rank, across], points[rank, up], s=2.2, c=rgba[rank], linewidths=0, rasterized=True, zorder=2)
    if depth == 2:
        centre = np.stack([frame.mean(axis=0) for frame in positions])
        first, last = centre[0], centre[-1]
        axes.plot(centre[:, across], centre[:, up], color=INK, lw=1.2, zorder=3)
        axes.scatter(first[across], first[up], color="white", edgecolors=INK, s=26, zorder=4, label="first")
        axes.scatter(last[across], last[up], color=INK, s=26, zorder=4, label="last")
        axes.legend(frameon=False, loc="best")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(f"{title} (frame {head.frame_start + t})")
    axes.set_xlabel(f"{'xyz'[across]} (m)")
    axes.set_ylabel(f"{'xyz'[up]} (m)")
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)


def _scene_frames(cache: FrameCache) -> np.ndarray:
    return np.arange(cache.manifest.frame_start, cache.manifest.frame_end + 1)


def _draw_box(axes: Axes, cache: FrameCache) -> None:
    low, high = bounding_box(cache)
    for k, (name, color) in enumerate(AXES.items()):
        axes.fill_between(_scene_frames(cache), low[:, k], high[:, k], color=color, alpha=0.16, lw=0)
        axes.plot(_scene_frames(cache), high[:, k], color=color, lw=1.3, label=name)
        axes.plot(_scene_frames(cache), low[:, k], color=color, lw=1.3)
    axes.set_title("Bounding box (m)")
    axes.set_xlabel("frame")
    axes.legend(frameon=False, ncols=3, loc="best")
    axes.grid(color=GRID, lw=0.6)


def _draw_speed(axes: Axes, cache: FrameCache) -> None:
    positions = points_of(cache)
    steps = [np.linalg.norm(b - a, axis=1) for a, b in pairwise(positions)]
    axes.set_title("Movement per frame (cm)")
    axes.set_xlabel("frame")
    axes.grid(color=GRID, lw=0.6)
    if steps:
        p50, p95, top = np.array([np.percentile(s, [50, 95, 100]) for s in steps]).T * 100
        frames = _scene_frames(cache)[1:]
        axes.fill_between(frames, p50, p95, color="#7a5195", alpha=0.2, lw=0)
        axes.plot(frames, p50, color="#7a5195", lw=1.5, label="median")
        axes.plot(frames, p95, color="#7a5195", lw=1, ls="--", label="95 %")
        axes.plot(frames, top, color=INK, lw=0.8, label="largest")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, ncols=3, loc="best")


def _draw_amplitude(axes: Axes, cache: FrameCache) -> None:
    amplitude = motion_amplitude(cache) * 100
    axes.hist(amplitude, bins=60, color="#ef8a3c", log=True)
    axes.set_title("Motion about the centre (cm RMS)")
    axes.set_ylabel("count")
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)


def _draw_storage(axes: Axes, cache: FrameCache) -> None:
    head = cache.manifest
    entries = [(entry.name, entry.bytes) for entry in head.attributes]
    entries += [(entry.file, entry.bytes) for entry in head.meshes]
    names, sizes = zip(*entries, strict=True)
    bars = axes.barh(names, np.array(sizes) / 1e6, color="#5b8fb9")
    axes.bar_label(bars, [f" {_size(size)}" for size in sizes], color=INK)
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.set_title("On disk (MB)")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
