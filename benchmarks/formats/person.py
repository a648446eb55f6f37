"""The demo's dancer as Gaussians, taken in again with nothing but their PLY and mesh and armature, or bones alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.frames import FrameCache
from ani3d_formats.gaussians import SH_C0
from ani3d_formats.progress import Progress
from ani3d_formats.regions import GARMENT, REGIONS
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.device import to_numpy
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.import_avatar import import_avatar
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.skeleton_person import shot_around
from ani3dhuman.rendering.draw import draw_tensors
from ani3dhuman.rendering.layers import over
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.splats import Splats

GAUSSIANS, WALK_FRAMES = 80_000, 12
ROOM = 0.06  # of a picture's height, around the dancer


def as_splats(shot: Shot, avatar: Avatar) -> Splats:
    """An avatar at rest as a trainer would have it: no binding, no labels; in the scene's metres."""
    means, quats = avatar.pose(shot["vertices"][None])
    dc = ((linear_to_srgb(avatar.albedo) - 0.5) / SH_C0)[:, None].astype(np.float32)
    origin = np.asarray(shot.meta.origin, np.float32)
    return Splats(means[0] + origin, quats[0], avatar.scales, avatar.opacities, dc)


def walk(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Rows of some frames of the shot, and where its bones alone have all vertices (T,V,3)."""
    return np.linspace(0, shot.frames - 1, WALK_FRAMES).astype(int), pose_rigid(shot, Progress("pose", shot.frames))


def person(folder: Path, shot: Shot) -> dict[str, float]:
    """Taken in with mesh and armature: places, labels and pictures beside those of her own avatar."""
    own = avatar_from_shot(shot, GAUSSIANS, DETAIL)
    write_splats(folder / "dancer.ply", as_splats(shot, own))
    bound, _ = import_avatar(
        read_splats(folder / "dancer.ply"), shot, folder / "dancer.avatar", "dancer.ply", relight=True
    )
    rows, rigid = walk(shot)
    posed, true = (avatar.pose(rigid[rows])[0] for avatar in (bound.avatar, own))
    apart = np.linalg.norm(posed - true[:, bound.kept], axis=2)
    labels = bound.avatar.region_ids == own.region_ids[bound.kept]
    pictures = (drawn(shot, avatar, rigid[rows], rows) for avatar in (bound.avatar, own))
    return {
        "avatar_psnr": likeness(*pictures),
        "avatar_median_mm": 1000 * float(np.median(apart)),
        "avatar_p99_mm": 1000 * float(np.percentile(apart, 99)),
        "avatar_labels": float(labels.mean()),
        "avatar_kept": float(bound.kept.mean()),
    }


def on_skeleton(folder: Path, shot: Shot) -> dict[str, float]:
    """Taken in with the armature alone: how far from where her own weights have her, by region."""
    own = avatar_from_shot(shot, GAUSSIANS, DETAIL)
    splats = as_splats(shot, own)
    guess = shot_around(splats, shot, "dancer")
    bound, _ = import_avatar(splats, guess.shot, folder / "skeleton.avatar", "dancer.ply")
    rows, rigid = walk(shot)
    posed = bound.avatar.pose(walk(guess.shot)[1][rows])[0]
    apart = 1000 * np.linalg.norm(posed - own.pose(rigid[rows])[0][:, bound.kept], axis=2)
    regions = own.region_ids[bound.kept]
    figures = {f"skeleton_{name}_median_mm": float(np.median(apart[:, regions == k])) for k, name in enumerate(REGIONS)}
    return {
        "skeleton_median_mm": float(np.median(apart)),
        **figures,
        "skeleton_doubtful": guess.doubtful,
        "skeleton_unseen": guess.unseen,
    }


def swing(folder: Path, shot: Shot) -> dict[str, float]:
    """Taken in with mesh and armature, then moved by the mesh's cloth; writes swing.png of the frame that swings most.

    Rigid, with cloth, and her own avatar with the same cloth stand side by side.
    """
    own = avatar_from_shot(shot, GAUSSIANS, DETAIL)
    write_splats(folder / "dancer.ply", as_splats(shot, own))
    splats = read_splats(folder / "dancer.ply")
    bound, _ = import_avatar(splats, shot, folder / "dancer.avatar", "dancer.ply", relight=True)
    out = animate(shot, folder / "swing", Settings.from_dict({"preset": "cloth"}))
    cache, rigid = FrameCache.open(out / f"{shot.name}.ani3d"), walk(shot)[1]
    cloth = np.concatenate([mesh.vertices for mesh in cache.meshes().values()], axis=1)
    garment = shot["region_ids"] == GARMENT
    row = int(np.linalg.norm(cloth[:, garment] - rigid[:, garment], axis=2).mean(1).argmax())
    layers = (bound.avatar, rigid), (bound.avatar, cloth), (own, cloth)
    shown = [drawn(shot, avatar, vertices[row : row + 1], np.array([row])) for avatar, vertices in layers]
    write_beside(folder / "swing.png", shown, ("bones alone", "taken in, with cloth", "the original, with cloth"))
    mine = np.flatnonzero(bound.avatar.region_ids == GARMENT)
    still, moved = (bound.avatar.pose(vertices[row : row + 1])[0][0, mine] for vertices in (rigid, cloth))
    dress = shot["faces"][(shot["region_ids"][shot["faces"]] == GARMENT).all(1)]
    off = np.abs(signed_distances(moved[None], cloth[row][None].astype(np.float64), dress)[0])
    away = np.linalg.norm(moved - still, axis=1)
    return {
        "swing_frame": shot.meta.frame_start + row,
        "swing_median_mm": 1000 * float(np.median(away)),
        "swing_p95_mm": 1000 * float(np.percentile(away, 95)),
        "swing_off_garment_p99_mm": 1000 * float(np.percentile(off, 99)),
        "swing_psnr": likeness(shown[1], shown[2]),
    }


def drawn(shot: Shot, avatar: Avatar, vertices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (T,H,W,3) sRGB and coverage (T,H,W) of an avatar on a mesh (T,V,3), in those rows of the shot."""
    path = shot.cameras
    cameras = replace(path, viewmats=path.viewmats[rows], Ks=path.Ks[rows])
    posed, shown = PosedAvatar(avatar, vertices, Lighting.of(shot).taken(rows), cameras), []
    with torch.no_grad():
        for t in range(len(rows)):
            gaussians = posed.frame(t)
            colors, alpha = draw_tensors(gaussians, gaussians.colors, cameras, t)
            shown.append((to_numpy(over(colors, alpha, shot.background_srgb)), to_numpy(alpha)))
    pictures, alphas = zip(*shown, strict=True)
    return np.stack(pictures), np.stack(alphas)


def likeness(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Peak signal-to-noise ratio in dB of two avatars' pictures and coverages, inside the silhouettes."""
    inside = np.maximum(first[1], second[1]) > 0.5
    return float(-10 * np.log10(np.mean((first[0] - second[0])[inside] ** 2)))


def write_beside(png: Path, shown: list[tuple[np.ndarray, np.ndarray]], names: tuple[str, ...]) -> None:
    """Pictures of one frame beside each other, cut to what is in any of them, each with its name below."""
    rows, columns = np.nonzero(np.max([alpha[0] for _, alpha in shown], axis=0) > 0.1)
    height, width = shown[0][1].shape[1:]
    room = int(ROOM * height)
    top, bottom = max(rows.min() - room, 0), min(rows.max() + room, height)
    left, right = max(columns.min() - room, 0), min(columns.max() + room, width)
    parts = []
    for (pictures, _), name in zip(shown, names, strict=True):
        part = (255 * np.clip(pictures[0, top:bottom, left:right, ::-1], 0, 1) + 0.5).astype(np.uint8)
        part = cv2.copyMakeBorder(part, 0, 32, 0, 8, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        place = (6, part.shape[0] - 11)
        cv2.putText(part, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
        parts.append(part)
    cv2.imwrite(str(png), np.hstack(parts))
