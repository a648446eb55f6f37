"""Simulate the clips that the compact prior learns from: true cloth, coarse versions of it, and their maps.

    python -m training.make_clips --out out/clips --count 300 --first-seed 0

Each seed gives one character, one motion, one true simulation, and two coarse versions, each seen by a camera of its
own: "rigid", and either "light" (few substeps, another fabric) or "cotton" (the cloth pass as the pipeline runs it).
A clip's file depends on its seed alone; finished files are kept, so the script can be stopped and started again, and
several may run side by side over different seeds.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ani3dhuman.avatar import Lighting, avatar_from_shot
from ani3dhuman.motion.cloth import FABRICS, ClothSettings, simulate_character
from ani3dhuman.motion.skinning import skin
from ani3dhuman.restoration.clip import CoarseClip
from ani3dhuman.restoration.feature_maps import offset_maps, surface_maps
from ani3dhuman.shot import Shot

from .characters import Character, random_character
from .motions import FPS, random_cameras, random_motion

FRAMES = 48
HISTORY = 12  # frames simulated before the clip begins
MAX_STRETCH = 1.3  # a truth whose edges grow more than this has exploded and is dropped
MAX_SPEED = 0.28  # metres a frame, relative to the skeleton: faster cloth was flung out of a collision


@dataclass(frozen=True)
class Take:
    """One motion of one character: rigid and true vertices (T,V,3), and coarse versions by name."""

    character: Character
    rigid: np.ndarray
    truth: np.ndarray
    coarse: dict[str, np.ndarray]


def random_fabric(rng: np.random.Generator, spread: float) -> ClothSettings:
    """A dress fabric: cotton at `spread` 0, anything between silk and denim at 1."""
    cotton = FABRICS["cotton"]
    return replace(
        cotton,
        bend=float(cotton.bend * 10 ** (spread * rng.uniform(-1.3, 1.0))),
        damping=float(cotton.damping * 10 ** (spread * rng.uniform(-0.4, 0.3))),
        friction=float(cotton.friction * 10 ** (spread * rng.uniform(-0.4, 0.2))),
    )


def make_take(seed: int) -> Take | None:
    """Simulate a seed's take; None when the true simulation exploded."""
    rng = np.random.default_rng(seed)
    character = random_character(rng)
    transforms = random_motion(rng, character, FRAMES + HISTORY)
    rigid = skin(character.vertices, character.weight_indices, character.weight_values, transforms)
    fabric, generic = random_fabric(rng, 0.25), random_fabric(rng, 0.6)
    hair = replace(FABRICS["hair"], shape=float(FABRICS["hair"].shape * 10 ** rng.uniform(-0.6, 0.1)))
    truth = _simulate(character, rigid, fabric, hair)
    if not plausible(character, rigid, truth):
        return None
    if rng.random() < 0.5:
        substeps = int(rng.integers(3, 12))
        quick = replace(FABRICS["hair"], substeps=substeps)
        name, physics = "light", _simulate(character, rigid, replace(generic, substeps=substeps), quick)
    else:
        name, physics = "cotton", _simulate(character, rigid, FABRICS["cotton"], FABRICS["hair"])
    seen = slice(HISTORY, None)
    return Take(character, rigid[seen], truth[seen], {"rigid": rigid[seen], name: physics[seen]})


def _simulate(character: Character, rigid: np.ndarray, garment: ClothSettings, hair: ClothSettings) -> np.ndarray:
    return simulate_character(
        rigid, character.faces, character.vertices, character.regions, character.pins, FPS, garment, hair
    )


def plausible(character: Character, rigid: np.ndarray, truth: np.ndarray) -> bool:
    """Whether a simulation neither tore nor exploded."""
    speed = np.linalg.norm(np.diff(truth - rigid, axis=0), axis=2)
    return bool(
        np.isfinite(truth).all()
        and largest_stretch(character, truth) < MAX_STRETCH
        and np.percentile(speed.max(0), 99.5) < MAX_SPEED
    )


def largest_stretch(character: Character, vertices: np.ndarray) -> float:
    """99.5th percentile of edge length over rest length in the moving parts."""
    faces = character.faces[character.regions[character.faces].min(1) >= 2]
    edges = faces[:, [0, 1]]
    rest = np.linalg.norm(character.vertices[edges[:, 0]] - character.vertices[edges[:, 1]], axis=1)
    now = np.linalg.norm(vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]], axis=2)
    return float(np.percentile(now / rest, 99.5))


def coarse_clip(take: Take, name: str, rng: np.random.Generator, gaussians: int = 9_000) -> CoarseClip:
    """A coarse version of a take as restoration receives it, seen by a random camera."""
    character = take.character
    vertices = take.coarse[name]
    subject = take.rigid[:, character.regions == 0].mean(1)
    cameras = random_cameras(rng, subject)
    avatar = avatar_from_shot(plain_shot(character, rng), gaussians, {3: 2.0, 2: 2.0}, int(rng.integers(1 << 30)))
    light = np.array([[0.4, 0.7, -0.6]]) / np.linalg.norm([0.4, 0.7, -0.6])
    return CoarseClip(
        cameras=cameras,
        avatar=avatar,
        lighting=Lighting(light, np.array([[0.7, 0.68, 0.65]]), np.array([0.45, 0.47, 0.5])),
        background=np.array([0.82, 0.84, 0.87], np.float32),
        fps=FPS,
        bind_vertices=character.vertices,
        rigid_vertices=take.rigid,
        vertices=vertices,
        vertex_regions=character.regions,
        pin_weights=character.pins,
    )


def plain_shot(character: Character, rng: np.random.Generator) -> Shot:
    """As much of a shot as an avatar is made from: mesh, regions and flat colours, the dress in squares."""
    faces = character.faces.astype(np.int32)
    region = character.regions[faces].min(1)
    quad = np.arange(len(faces)) % (len(faces) // 2)
    squares = ((quad // 4) + (quad // 300)) % 2
    materials = np.choose(region, [0, 0, 1, 2 + squares])
    colors = [[0.75, 0.5, 0.4], [0.1, 0.05, 0.03], list(rng.uniform(0.1, 0.9, 3)), list(rng.uniform(0.1, 0.9, 3))]
    arrays = {
        "vertices": character.vertices,
        "faces": faces,
        "region_ids": character.regions.astype(np.int32),
        "face_uvs": np.zeros((len(faces), 3, 2), np.float32),
        "face_materials": materials.astype(np.int32),
        "vertex_tints": np.ones_like(character.vertices),
    }
    names = ("skin", "hair", "squares", "other squares")
    meta = [{"name": n, "base_color": c, "texture": -1} for n, c in zip(names, colors, strict=True)]
    return Shot({"materials": meta}, arrays)


def write_clip(seed: int, folder: Path) -> bool:
    """Make a seed's file; False when its simulation was dropped."""
    take = make_take(seed)
    arrays: dict[str, np.ndarray] = {}
    if take is not None:
        rng = np.random.default_rng([seed, 1])
        for name in take.coarse:
            clip = coarse_clip(take, name, rng)
            maps = surface_maps(clip)
            arrays[f"{name}_conditions"] = maps.conditions.astype(np.float16)
            arrays[f"{name}_offsets"] = offset_maps(clip, take.truth, maps).astype(np.float16)
    temporary = folder / f".{seed:06d}.{os.getpid()}.npz"
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, folder / f"{seed:06d}.npz")
    return take is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out/clips"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = range(options.first_seed, options.first_seed + options.count)
    todo = [seed for seed in seeds if not (options.out / f"{seed:06d}.npz").exists()]
    dropped = 0
    for seed in tqdm(todo, desc="clips"):
        dropped += not write_clip(seed, options.out)
    print(f"{len(seeds)} seeds in {options.out}: {len(todo)} made now, {dropped} of them dropped as exploded")


if __name__ == "__main__":
    main()
