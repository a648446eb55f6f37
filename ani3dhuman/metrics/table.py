"""All figures of a clip at once, their average over clips, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from . import geometry
from .clip import ClipSetting, ClipVersion, check_shapes
from .identity import face_distance
from .perceptual import flip, perceptual_distance
from .pictures import detail_ratio, masked_mean, mean_change, psnr, silhouette_iou, ssim_maps
from .temporal import flicker_ratio, warp_error


@dataclass(frozen=True)
class FigureKind:
    """How a figure is read: heading with its unit, what is best (max, min, 1; "": the truth's own value), digits."""

    heading: str
    best: str
    digits: int


FIGURES: dict[str, FigureKind] = {
    "garment_psnr_db": FigureKind("PSNR dB", "max", 2),
    "garment_ssim": FigureKind("SSIM", "max", 3),
    "garment_lpips": FigureKind("LPIPS", "min", 4),
    "garment_flip": FigureKind("FLIP", "min", 4),
    "detail_ratio": FigureKind("detail", "1", 2),
    "flicker_ratio": FigureKind("flicker", "1", 2),
    "warp_error": FigureKind("warp error /255", "min", 2),
    "warp_coverage": FigureKind("warp coverage", "max", 2),
    "garment_iou": FigureKind("garment IoU", "max", 3),
    "silhouette_iou": FigureKind("silhouette IoU", "max", 3),
    "preserved_psnr_db": FigureKind("preserved PSNR dB", "max", 2),
    "preserved_ssim": FigureKind("preserved SSIM", "max", 3),
    "preserved_change": FigureKind("preserved change /255", "min", 3),
    "face_lpips": FigureKind("face LPIPS", "min", 4),
    "node_error_cm": FigureKind("node error cm", "min", 2),
    "visible_error_cm": FigureKind("visible cm", "min", 2),
    "hidden_error_cm": FigureKind("hidden cm", "min", 2),
    "acceleration_ratio": FigureKind("acceleration", "1", 2),
    "acceleration_rms": FigureKind("acceleration m/s2", "", 2),
    "amplitude_ratio": FigureKind("amplitude", "1", 2),
    "fold_ratio": FigureKind("folds", "1", 2),
    "garment_fold_ratio": FigureKind("folds of garments", "1", 2),
    "edge_p99": FigureKind("edge p99", "", 3),
    "penetration_p99_mm": FigureKind("inside p99 mm", "min", 1),
    "penetration_share": FigureKind("inside share", "min", 4),
}


def judge(
    truth: ClipVersion, candidate: ClipVersion, setting: ClipSetting, every: int = 4, perceptual: bool = True
) -> dict[str, float]:
    """Every figure of `FIGURES` that the given arrays allow; `judge(truth, truth, setting)` gives the truth's own row.

    The garment region is where either version shows cloth. NaN marks a figure that these clips leave undefined: an
    empty region, or a ratio to a truth that does not move. A figure whose arrays are None is left out.

    Args:
        truth, candidate: both with pictures, both with vertices, or both with either.
        setting: what they share.
        every: the nets and FLIP look at every how many frames; all else takes all frames.
        perceptual: False leaves out LPIPS, FLIP and the face.

    Raises:
        Ani3DError: ``metrics.shapes``, ``metrics.garment``, ``metrics.weights``.
    """
    check_shapes(setting, truth=truth, candidate=candidate)
    return {**_judge_pictures(truth, candidate, setting, every, perceptual), **_judge_meshes(truth, candidate, setting)}


def _judge_pictures(
    truth: ClipVersion, candidate: ClipVersion, setting: ClipSetting, every: int, perceptual: bool
) -> dict[str, float]:
    if truth.pictures is None or candidate.pictures is None:
        return {}
    assert truth.garment is not None and candidate.garment is not None
    seen, true, region = candidate.pictures, truth.pictures, candidate.garment | truth.garment
    similarity = ssim_maps(seen, true)
    figures = {
        "garment_psnr_db": psnr(seen, true, region),
        "garment_ssim": masked_mean(similarity, region),
        "detail_ratio": detail_ratio(seen, true, region),
        "flicker_ratio": flicker_ratio(seen, true, region),
        "garment_iou": silhouette_iou(candidate.garment, truth.garment),
    }
    figures["warp_error"], figures["warp_coverage"] = warp_error(seen, region, candidate.flow)
    if candidate.alphas is not None and truth.alphas is not None:
        figures["silhouette_iou"] = silhouette_iou(candidate.alphas > 0.5, truth.alphas > 0.5)
    if setting.preserve is not None:
        figures["preserved_psnr_db"] = psnr(seen, true, setting.preserve)
        figures["preserved_ssim"] = masked_mean(similarity, setting.preserve)
        if setting.rigid_pictures is not None:
            figures["preserved_change"] = mean_change(seen, setting.rigid_pictures, setting.preserve)
    if perceptual:
        figures["garment_lpips"] = perceptual_distance(seen, true, region, every)
        figures["garment_flip"] = flip(seen, true, region, every)
        if setting.face is not None:
            figures["face_lpips"] = face_distance(seen, true, setting.face, every)
    return figures


def _judge_meshes(truth: ClipVersion, candidate: ClipVersion, setting: ClipSetting) -> dict[str, float]:
    if truth.vertices is None or candidate.vertices is None:
        return {}
    seen, true, rigid, free = candidate.vertices, truth.vertices, setting.rigid_vertices, setting.free
    cloth, bind = setting.faces[free[setting.faces].all(1)], setting.bind_vertices
    errors = 100 * geometry.node_errors(seen, true)
    energy = geometry.acceleration_energy(seen, rigid, free)
    figures = {
        "node_error_cm": geometry.mean_error(errors, free),
        "acceleration_ratio": geometry.acceleration_ratio(seen, true, rigid, free),
        "acceleration_rms": float(np.sqrt(energy) * setting.fps**2),
        "amplitude_ratio": geometry.amplitude_ratio(seen, true, rigid, free),
        "fold_ratio": geometry.fold_ratio(seen, true, cloth, bind, free),
        "garment_fold_ratio": geometry.fold_ratio(seen, true, cloth, bind, free & setting.loose_garment),
        "edge_p99": geometry.edge_stretch(seen, cloth, bind, free),
    }
    if setting.visible is not None:
        figures["visible_error_cm"] = geometry.mean_error(errors, setting.visible & free)
        figures["hidden_error_cm"] = geometry.mean_error(errors, ~setting.visible & free)
    figures["penetration_p99_mm"], figures["penetration_share"] = geometry.penetration(
        seen, setting.loose_garment, rigid, setting.body_faces
    )
    return figures


def mean_ci(values: Iterable[float]) -> tuple[float, float]:
    """Mean over clips and half the width of its 95 % interval by Student's t.

    NaN values, which are undefined figures, are left out. The half width of fewer than two values is NaN. For a
    comparison of two methods, give the differences clip by clip.
    """
    known = np.array([v for v in values if not np.isnan(v)], np.float64)
    if len(known) < 2:
        return (float(known[0]) if len(known) else float("nan")), float("nan")
    half = student.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean()), float(half)


def summarise(rows: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """`mean_ci` of every figure over the rows of several clips; a figure may be missing from some."""
    rows = list(rows)
    keys = [key for key in FIGURES if any(key in row for row in rows)]
    return {key: mean_ci(row[key] for row in rows if key in row) for key in keys}


def format_table(rows: Mapping[str, Mapping[str, float | tuple[float, float]]], first: str = "version") -> str:
    """Markdown table of named rows of figures, or of means with their half width as `summarise` gives them.

    A dash stands for a figure that was not measured, "undefined" for NaN. Arrows say which way is better.
    """
    keys = [key for key in FIGURES if any(key in row for row in rows.values())]
    better = {"max": " ↑", "min": " ↓", "1": " →1", "": ""}
    heads = [f"{FIGURES[k].heading}{better[FIGURES[k].best]}" for k in keys]
    lines = [f"| {first} | " + " | ".join(heads) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(_cell(row.get(k), FIGURES[k].digits) for k in keys) + " |")
    return "\n".join(lines)


def _cell(value: float | tuple[float, float] | None, digits: int) -> str:
    if value is None:
        return "-"
    mean, half = value if isinstance(value, tuple) else (value, float("nan"))
    if np.isnan(mean):
        return "undefined"
    return f"{mean:.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")
