"""A result as one USD stage: Gaussians, deformed meshes with velocities, camera and skeleton over time.

Gaussians are a ParticleField3DGaussianSplat (OpenUSD 26). The package usd-core writes it; see the extra `formats`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import atomic_path, cannot_write
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from .splats import Splats

ENDINGS = (".usd", ".usdc", ".usda")
APERTURE = 36.0  # millimetres, of a camera's film; USD counts it in tenths of a scene unit


def load_pxr(path: Path) -> Any:
    """The package usd-core. Raises `Ani3DError` ``usd.package`` where it is missing or too old for Gaussians."""
    try:
        import pxr
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdSkel, UsdVol, Vt  # noqa: F401 - submodules are loaded by this
    except ImportError as error:
        raise Ani3DError(
            "usd.package",
            f"{path.name} is USD, which needs the package usd-core.",
            "Install it: pip install 'ani3dhuman[formats]'.",
        ) from error
    if not hasattr(UsdVol, "ParticleField3DGaussianSplat"):
        raise Ani3DError("usd.package", "This usd-core knows no Gaussians.", "Install usd-core 26.3 or later.")
    return pxr


def write_usd(
    path: Path, cache: FrameCache, frames: range, shot: Shot | None = None, progress: Progress | None = None
) -> Path:
    """Write scene frames of a cache as a USD stage: Z up, metres, time codes are scene frames.

    Args:
        shot: gives faces, cameras and skeleton; None writes Gaussians alone, since a cache has no faces.
        progress: advanced once a frame.

    Raises:
        Ani3DError: ``usd.package`` without usd-core; ``cache.frame``, ``cache.attributes``; ``disk.full``,
            ``file.unwritable``; ``usd.shot`` for a shot of another character.
        Cancelled: within a frame of the request.
    """
    pxr = load_pxr(path)
    cache.check_gaussians()
    if shot is not None:
        _check_fits(cache, shot)
    try:
        with atomic_path(path) as partial:
            partial.unlink(missing_ok=True)
            stage = pxr.Usd.Stage.CreateNew(str(partial))
            _fill(pxr, stage, cache, frames, shot, progress)
            stage.GetRootLayer().Save()
            del stage
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def _check_fits(cache: FrameCache, shot: Shot) -> None:
    counts = {item.name: item.vertex_count for item in shot.meta.objects}
    for name, mesh in cache.meshes().items():
        if counts.get(name) != mesh.vertices.shape[1]:
            raise Ani3DError(
                "usd.shot",
                f"The cache's mesh {name!r} has {mesh.vertices.shape[1]} vertices, the shot's {counts.get(name, 0)}.",
                "Give the shot that the cache was made from.",
            )


def _fill(pxr: Any, stage: Any, cache: FrameCache, frames: range, shot: Shot | None, progress: Progress | None) -> None:
    manifest = cache.manifest
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.z)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetStartTimeCode(frames[0])
    stage.SetEndTimeCode(frames[-1])
    stage.SetTimeCodesPerSecond(manifest.fps)
    stage.SetFramesPerSecond(manifest.fps)
    root = pxr.UsdSkel.Root.Define(stage, "/Character")
    stage.SetDefaultPrim(root.GetPrim())
    root.AddTranslateOp(pxr.UsdGeom.XformOp.PrecisionDouble).Set(pxr.Gf.Vec3d(*manifest.origin))
    gaussians = pxr.UsdVol.ParticleField3DGaussianSplat.Define(stage, "/Character/Gaussians")
    gaussians.CreateRadianceSphericalHarmonicsDegreeAttr(Splats.of_frame(cache.frame(frames[0])).degree)
    meshes = _define_meshes(pxr, stage, shot) if shot is not None else {}
    if shot is not None:
        _write_cameras(pxr, stage, shot, frames)
        _write_skeleton(pxr, stage, shot, frames)
    for number, frame in enumerate(frames):
        _write_gaussians(pxr, gaussians, cache, frame, first=number == 0)
        for name, (mesh, rows) in meshes.items():
            _write_mesh(pxr, mesh, cache, name, frame, rows)
        if progress:
            progress.advance()


def _write_gaussians(pxr: Any, prim: Any, cache: FrameCache, frame: int, *, first: bool) -> None:
    splats, still = Splats.of_frame(cache.frame(frame)), {n for n, a in cache.arrays.items() if a.ndim == 2}
    Vt, time = pxr.Vt, pxr.Usd.TimeCode(frame)
    quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    values = (
        ("position", prim.CreatePositionsAttr(), Vt.Vec3fArray, splats.means),
        ("rotation", prim.CreateOrientationsAttr(), Vt.QuatfArray, quats[:, [1, 2, 3, 0]]),
        ("scale", prim.CreateScalesAttr(), Vt.Vec3fArray, splats.scales),
        ("radiance:base", prim.CreateOpacitiesAttr(), Vt.FloatArray, splats.opacities),
        (
            "" if splats.degree else "radiance:base",  # what depends on the view turns with the Gaussians
            prim.CreateRadianceSphericalHarmonicsCoefficientsAttr(),
            Vt.Vec3fArray,
            splats.sh.reshape(-1, 3),
        ),
    )
    for name, attribute, kind, array in values:
        data = kind.FromNumpy(np.ascontiguousarray(array, np.float32))
        if name not in still:
            attribute.Set(data, time)
        elif first:
            attribute.Set(data)
    reach = 3 * splats.scales.max(1, keepdims=True)
    low, high = (splats.means - reach).min(0), (splats.means + reach).max(0)
    prim.CreateExtentAttr().Set(Vt.Vec3fArray.FromNumpy(np.stack([low, high]).astype(np.float32)), time)


def _define_meshes(pxr: Any, stage: Any, shot: Shot) -> dict[str, tuple[Any, slice]]:
    """The shot's objects as meshes without points: name -> (mesh, rows of the shot's vertices)."""
    found: dict[str, tuple[Any, slice]] = {}
    used: set[str] = set()
    for item in shot.meta.objects:
        name = pxr.Tf.MakeValidIdentifier(item.name)
        while name in used:
            name += "_"
        used.add(name)
        mesh = pxr.UsdGeom.Mesh.Define(stage, f"/Character/{name}")
        mesh.GetPrim().SetDisplayName(item.name)
        mesh.CreateSubdivisionSchemeAttr(pxr.UsdGeom.Tokens.none)
        chosen = (shot["faces"] >= item.vertex_start).all(1) & (shot["faces"] < item.rows.stop).all(1)
        faces = shot["faces"][chosen] - item.vertex_start
        mesh.CreateFaceVertexCountsAttr(pxr.Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(pxr.Vt.IntArray.FromNumpy(faces.reshape(-1).astype(np.int32)))
        primvars = pxr.UsdGeom.PrimvarsAPI(mesh)
        uvs = np.ascontiguousarray(shot["face_uvs"][chosen].reshape(-1, 2), np.float32)
        kind, place = pxr.Sdf.ValueTypeNames.TexCoord2fArray, pxr.UsdGeom.Tokens.faceVarying
        primvars.CreatePrimvar("st", kind, place).Set(pxr.Vt.Vec2fArray.FromNumpy(uvs))
        color = np.array([m.base_color for m in shot.meta.materials], np.float32)[shot["face_materials"][chosen]]
        mesh.CreateDisplayColorPrimvar(pxr.UsdGeom.Tokens.uniform).Set(pxr.Vt.Vec3fArray.FromNumpy(color))
        found[item.name] = mesh, item.rows
    return found


def _write_mesh(pxr: Any, mesh: Any, cache: FrameCache, name: str, frame: int, rows: slice) -> None:
    points = cache.meshes().get(name)
    if points is None:
        return
    manifest, time = cache.manifest, pxr.Usd.TimeCode(frame)
    now = points.vertices[frame - manifest.frame_start]
    before, after = (cache.nearest_frame(frame + step) for step in (-1, 1))
    apart = (points.vertices[k - manifest.frame_start].astype(np.float64) for k in (after, before))
    speed = np.subtract(*apart) * (manifest.fps / max(1, after - before))
    mesh.CreatePointsAttr().Set(pxr.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(now)), time)
    mesh.CreateVelocitiesAttr().Set(pxr.Vt.Vec3fArray.FromNumpy(speed.astype(np.float32)), time)
    extent = np.stack([now.min(0), now.max(0)])
    mesh.CreateExtentAttr().Set(pxr.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(extent)), time)


def _write_cameras(pxr: Any, stage: Any, shot: Shot, frames: range) -> None:
    """The shot's camera: USD's looks along -Z with Y up, ours along Z with Y down."""
    cameras, start = shot.cameras, shot.meta.frame_start
    camera = pxr.UsdGeom.Camera.Define(stage, "/Character/Camera")
    matrix = camera.AddTransformOp(pxr.UsdGeom.XformOp.PrecisionDouble)
    flat = cameras.camera_type == "orthographic"
    camera.CreateProjectionAttr(pxr.UsdGeom.Tokens.orthographic if flat else pxr.UsdGeom.Tokens.perspective)
    camera.CreateClippingRangeAttr(pxr.Gf.Vec2f(0.01, 10_000.0))
    for frame in frames:
        if not 0 <= frame - start < shot.frames:
            continue
        time, K = pxr.Usd.TimeCode(frame), cameras.Ks[frame - start].astype(np.float64)
        world = np.linalg.inv(cameras.viewmats[frame - start].astype(np.float64)) @ np.diag([1.0, -1, -1, 1])
        matrix.Set(pxr.Gf.Matrix4d(world.T.tolist()), time)
        # a picture of `width` pixels is `wide` tenths of a unit of film at the focal length below
        wide = 10 * cameras.width / K[0, 0] if flat else APERTURE / 100
        camera.CreateHorizontalApertureAttr().Set(wide, time)
        camera.CreateVerticalApertureAttr().Set(wide * K[0, 0] / K[1, 1] * cameras.height / cameras.width, time)
        camera.CreateFocalLengthAttr().Set(0.5 if flat else wide * K[0, 0] / cameras.width, time)
        camera.CreateHorizontalApertureOffsetAttr().Set(wide * (0.5 - K[0, 2] / cameras.width), time)
        shift = wide * K[0, 0] / K[1, 1] / cameras.width
        camera.CreateVerticalApertureOffsetAttr().Set(shift * (K[1, 2] - cameras.height / 2), time)


def _write_skeleton(pxr: Any, stage: Any, shot: Shot, frames: range) -> None:
    """Bones as a UsdSkel skeleton; sheared ones by the nearest rotation and sizes."""
    names: list[str] = []
    parents, bones = shot["bone_parents"], shot.meta.bones
    for row, bone in enumerate(bones):
        own = pxr.Tf.MakeValidIdentifier(bone)
        above = int(parents[row])
        path = f"{names[above]}/{own}" if 0 <= above < row else own
        names.append(path if path not in names else f"{path}_{row}")
    skeleton = pxr.UsdSkel.Skeleton.Define(stage, "/Character/Skeleton")
    animation = pxr.UsdSkel.Animation.Define(stage, "/Character/Skeleton/Motion")
    pxr.UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    skeleton.CreateJointsAttr(names)
    animation.CreateJointsAttr(names)
    rest = shot["bone_rest"].astype(np.float64)
    skeleton.CreateBindTransformsAttr([pxr.Gf.Matrix4d(m.T.tolist()) for m in rest])
    local = _local(rest, parents)
    skeleton.CreateRestTransformsAttr([pxr.Gf.Matrix4d(m.T.tolist()) for m in local])
    start, Vt = shot.meta.frame_start, pxr.Vt
    from scipy.spatial.transform import Rotation

    for frame in frames:
        if not 0 <= frame - start < shot.frames:
            continue
        pose, time = _local(shot["bone_pose"][frame - start].astype(np.float64), parents), pxr.Usd.TimeCode(frame)
        sizes = np.maximum(np.linalg.norm(pose[:, :3, :3], axis=1), 1e-9)
        quats = Rotation.from_matrix(pose[:, :3, :3] / sizes[:, None]).as_quat().astype(np.float32)
        places = np.ascontiguousarray(pose[:, :3, 3], np.float32)
        animation.CreateTranslationsAttr().Set(Vt.Vec3fArray.FromNumpy(places), time)
        animation.CreateRotationsAttr().Set(Vt.QuatfArray.FromNumpy(quats), time)
        animation.CreateScalesAttr().Set(Vt.Vec3hArray.FromNumpy(sizes.astype(np.float16)), time)


def _local(world: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(B,4,4) relative to the parent; in the world where none stands before the bone."""
    above = np.where((parents >= 0) & (parents < np.arange(len(parents))), parents, -1)
    base = np.where(above[:, None, None] >= 0, world[above], np.eye(4))
    return np.linalg.inv(base) @ world
