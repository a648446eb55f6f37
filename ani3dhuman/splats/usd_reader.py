"""Gaussians of a USD stage, read: ParticleField3DGaussianSplat prims as they are at the stage's first moment.

What a file refers to is looked at before it is composed: references in a circle, files outside its folder, and value
clips, which name files by patterns, are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

from .splats import COEFFICIENTS, MOST, Splats, check_unpacked, damaged_error
from .usd import load_pxr
from .usd_limits import check_depth, check_prims

MOST_LAYERS = 1000
ROW = 56  # bytes of a Gaussian of degree 0


def read_usd(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a .usd, .usda or .usdc, placed by their prims, in metres, and the stage's axes.

    Raises `Ani3DError`: ``splats.malformed``, ``usd.package`` without usd-core.
    """
    pxr = load_pxr(path)
    try:
        layers: dict[Path, Any] = {}
        _check_layers(pxr, path, path.resolve().parent, (), layers)
        check_prims(path, layers)
        packed, count = sum(layer.stat().st_size for layer in layers), 0
        stage = pxr.Usd.Stage.Open(str(path))
        if stage.GetCompositionErrors():
            raise damaged_error(path, str(stage.GetCompositionErrors()[0])[:200], "USD")
        timed = stage.HasAuthoredTimeCodeRange()
        time = pxr.Usd.TimeCode(stage.GetStartTimeCode()) if timed else pxr.Usd.TimeCode.EarliestTime()
        parts = []
        for prim in stage.Traverse():
            if prim.IsA(pxr.UsdVol.ParticleField3DGaussianSplat):
                parts.append(_placed(pxr, path, prim, time))
                count += parts[-1].count
                check_unpacked(path, packed, ROW * count, "USD")
        if not parts:
            raise damaged_error(path, "no prim in it is a ParticleField3DGaussianSplat", "USD with Gaussians")
        metres = float(pxr.UsdGeom.GetStageMetersPerUnit(stage))
        up = str(pxr.UsdGeom.GetStageUpAxis(stage))
    except (Ani3DError, MemoryError):
        raise
    except Exception as error:  # its C++ core has errors of its own, for text and for bytes that changed
        raise damaged_error(path, _said(error)[:200], "USD") from error
    return Splats.joined(parts).turned(np.eye(3), metres), "z-up" if up == "Z" else "y-up"


def _said(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    except UnicodeDecodeError:  # the text quotes bytes of the file
        return type(error).__name__


def _check_layers(pxr: Any, path: Path, folder: Path, above: tuple[Path, ...], seen: dict[Path, Any]) -> None:
    """Raise ``splats.malformed`` for what a file refers to in a circle, outside `folder`, or not there.

    Args:
        above: files that refer to this one.
        seen: gets the layer of each file.
    """
    own = path.resolve()
    if own in above:
        raise damaged_error(above[0], f"it refers to itself by way of {path.name}", "USD")
    if not own.is_relative_to(folder):
        raise damaged_error(above[0], f"it refers to {str(path)!r}, outside of its folder", "USD")
    if own in seen:
        return
    if len(seen) >= MOST_LAYERS or not own.is_file():
        what = "it refers to too many files" if own.is_file() else f"it refers to {path.name!r}, which is not there"
        raise damaged_error((*above, own)[0], what, "USD")
    check_depth(own)
    layer = seen[own] = pxr.Sdf.Layer.FindOrOpen(str(own))
    if layer is None:
        raise damaged_error(own, "it cannot be parsed", "USD")
    specs: list[Any] = []
    layer.Traverse(pxr.Sdf.Path.absoluteRootPath, specs.append)
    for spec in specs:
        if (spec.IsPrimPath() or spec.IsPrimVariantSelectionPath()) and layer.GetObjectAtPath(spec).HasInfo("clips"):
            raise damaged_error((*above, own)[0], f"{spec} refers to value clips, which are not read", "USD")
    for name in layer.GetCompositionAssetDependencies():
        if name:
            _check_layers(pxr, own.parent / name, folder, (*above, own), seen)


def _placed(pxr: Any, path: Path, prim: Any, time: Any) -> Splats:
    field = pxr.UsdVol.ParticleField3DGaussianSplat(prim)

    def read(attribute: Any, width: int) -> np.ndarray:
        value = attribute.Get(time)
        return np.asarray([] if value is None else value, np.float32).reshape(-1, width)

    means = read(field.GetPositionsAttr(), 3)
    count = len(means)
    turns = field.GetOrientationsAttr().Get(time) or []
    quats = np.array([(q.GetReal(), *q.GetImaginary()) for q in turns], np.float32).reshape(-1, 4)
    scales, opacities = read(field.GetScalesAttr(), 3), read(field.GetOpacitiesAttr(), 1)[:, 0]
    sh = read(field.GetRadianceSphericalHarmonicsCoefficientsAttr(), 3)
    degree = field.GetRadianceSphericalHarmonicsDegreeAttr().Get() or 0
    if not 0 <= degree <= 3 or count > MOST or {len(quats), len(scales), len(opacities)} != {count}:
        raise damaged_error(path, f"{prim.GetPath()} has arrays that do not belong together", "USD")
    if len(sh) != count * COEFFICIENTS[degree]:
        raise damaged_error(path, f"{prim.GetPath()} has {len(sh):,} colours for {count:,} Gaussians", "USD")
    world = np.array(pxr.UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(time), np.float64).T
    scale = float(np.cbrt(np.linalg.det(world[:3, :3])))
    R = world[:3, :3] / scale
    if not scale > 0 or not np.allclose(R @ R.T, np.eye(3), atol=1e-4):
        raise damaged_error(path, f"{prim.GetPath()} is mirrored or not scaled alike along all axes", "USD")
    splats = Splats(means, quats, scales, opacities, sh.reshape(count, -1, 3)).turned(R, scale)
    places = (splats.means.astype(np.float64) + world[:3, 3]).astype(np.float32)
    return Splats(places, splats.quats, splats.scales, splats.opacities, splats.sh)
