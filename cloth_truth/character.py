"""From a recipe to a character: shot for the pipeline, and the layers of cloth for the solver."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.regions import GARMENT, REGIONS
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import SCHEMA, VERSION
from ani3d_formats.skinning import skin
from ani3dhuman.motions.bvh import read_bvh

from .bodies import Body, make_body, sparse_weights, triangles
from .cameras import HEIGHT, WIDTH, make_camera
from .garments import CUTS, Part, joined, make_dress, make_hair, make_sleeves
from .motions import FAMILIES, FPS, make_motion
from .patterns import HAIRS, PALETTES, SKINS, body_colors, hair_tile, pattern_tile
from .pools import BVH, Recipe
from .retarget import bvh_path, retarget

FRAMES, PREROLL = 48, 24
LIGHT = np.array([[0.45, 0.75, -0.75], [-0.8, -0.2, -0.4]])
LIGHT_COLORS = np.array([[1.75, 1.65, 1.5], [0.35, 0.42, 0.5]])


@dataclass(frozen=True)
class Planned:
    """A sequence before its cloth is known.

    Attributes:
        shot: the clip's frames, without the pre-roll.
        rigid: (P+T,V,3) skinned vertices, pre-roll first; frame 0 is the bind pose.
        body: who; parts: cloth and hair in the order they are simulated, following the body in `shot`'s vertices.
        preroll: P.
    """

    shot: Shot
    rigid: np.ndarray
    body: Body
    parts: tuple[Part, ...]
    preroll: int

    @property
    def starts(self) -> list[int]:
        """First vertex of each part in the shot, and the end."""
        return list(np.cumsum([len(self.body.vertices)] + [len(p.vertices) for p in self.parts]))


def plan(
    recipe: Recipe, frames: int = FRAMES, preroll: int = PREROLL, detail: float = 1.0, bvh: Path | None = None
) -> Planned:
    """Make the character of a recipe, move it, point a camera at it.

    Args:
        recipe: the choices.
        frames, preroll: length of the clip and of what is simulated before it, at 24 fps.
        detail: factor on rows and columns of the cloth; 1 for the benchmark, less for quick looks.
        bvh: folder of the file that the recipe's motion may name.
    """
    shape, look, move, view = (np.random.default_rng((*recipe.seed, k)) for k in range(4))
    body = make_body(recipe.body)
    cut = CUTS[recipe.cut]
    tile = shape.uniform(0.12, 0.2)
    dress = make_dress(shape, body, cut, recipe.top, detail, tile)
    main = [dress[0], *(make_sleeves(shape, body, detail, tile) if recipe.sleeves else [])]
    parts = [joined("dress", main), *dress[1:]]
    if recipe.hair != "none":
        parts.append(make_hair(shape, body, recipe.hair, detail))
    wide = np.hypot(*main[0].vertices[main[0].vertices[:, 2] > 0.44 * body.height][:, :2].T).max()
    arms_out = float(np.clip((wide - 0.27) * 1.5, 0, 0.15))
    if recipe.motion.startswith(BVH):
        transforms = retarget(move, read_bvh(bvh_path(recipe.motion, bvh)), body, preroll, frames, arms_out)
    else:
        transforms = make_motion(move, body, FAMILIES[recipe.motion], preroll, frames, arms_out)

    vertices = np.concatenate([body.vertices, *(p.vertices for p in parts)]).astype(np.float32)
    indices, values = sparse_weights(np.concatenate([body.weights, *(p.weights for p in parts)]))
    rigid = skin(vertices, indices, values, transforms)
    clip = transforms[preroll:]
    heading = float(np.arctan2(clip[frames // 2, 0, 1, 0], clip[frames // 2, 0, 0, 0]))
    hips = (clip[:, 0, :3, :3] @ body.skeleton.heads[0] + clip[:, 0, :3, 3]).astype(np.float64)
    camera = make_camera(view, recipe.camera, hips, body.height, heading)
    faces, materials, uvs, meta, textures = _surface(look, recipe, body, parts)
    skeleton = body.skeleton
    rest = skeleton.rest()
    skin_pins = [np.ones(len(body.vertices)), *(p.pins for p in parts)]
    regions = [np.where(body.head, 1, 0), *(np.full(len(p.vertices), p.region) for p in parts)]
    tints = np.ones_like(vertices)
    tints[: len(body.vertices)] = _body_tints(look, recipe, body, parts)
    arrays = {
        "meta": np.array(json.dumps(_meta(recipe, body, parts, frames) | meta)),
        "vertices": vertices,
        "faces": faces.astype(np.int32),
        "face_uvs": uvs.astype(np.float32),
        "face_materials": materials.astype(np.int32),
        "vertex_tints": tints,
        "weight_indices": indices,
        "weight_values": values,
        "region_ids": np.concatenate(regions).astype(np.int32),
        "pin_weights": np.concatenate(skin_pins).astype(np.float32),
        "bone_parents": skeleton.parents.astype(np.int32),
        "bone_rest": rest.astype(np.float32),
        "bone_lengths": np.linalg.norm(skeleton.tails - skeleton.heads, axis=1).astype(np.float32),
        "bone_pose": (clip.astype(np.float64) @ rest).astype(np.float32),
        "viewmats": camera.viewmats,
        "Ks": camera.Ks,
        "sun_directions": (LIGHT / np.linalg.norm(LIGHT, axis=1, keepdims=True)).astype(np.float32),
        "sun_colors": LIGHT_COLORS.astype(np.float32),
        "ambient": np.array([0.42, 0.43, 0.46], np.float32),
        "background": (look.uniform(0.45, 0.7) + look.uniform(-0.06, 0.06, 3)).astype(np.float32),
        **{f"texture_{i}": texture for i, texture in enumerate(textures)},
    }
    return Planned(Shot.from_arrays(arrays), rigid, body, tuple(parts), preroll)


def _surface(
    rng: np.random.Generator, recipe: Recipe, body: Body, parts: list[Part]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any], list[np.ndarray]]:
    """Triangles, their materials and UVs, the materials' meta, and textures."""
    palette = PALETTES[recipe.palette]
    plain = rng.random() < 0.5  # a cape in one colour or in the dress's pattern
    textures = [pattern_tile(recipe.pattern, palette)]
    materials = [
        {"name": "skin", "base_color": [1.0, 1.0, 1.0], "texture": -1},
        {"name": "dress", "base_color": [1.0, 1.0, 1.0], "texture": 0},
        {"name": "cape", "base_color": [1.0, 1.0, 1.0], "texture": 1 if plain else 0},
        {"name": "hair", "base_color": [1.0, 1.0, 1.0], "texture": 2},
    ]
    tone = _hair_tone(recipe)
    textures += [pattern_tile("plain", palette[[2, 1, 0]]), hair_tile(rng, tone)]
    faces, owner, uvs = [triangles(body.quads)], [], []
    owner.append(np.zeros(len(faces[0]), int))
    uvs.append(np.zeros((len(faces[0]), 3, 2)))
    start = len(body.vertices)
    for part in parts:
        faces.append(triangles(part.quads) + start)
        uvs.append(np.concatenate([part.uvs[:, [0, 1, 2]], part.uvs[:, [0, 2, 3]]]))
        owner.append(np.full(len(faces[-1]), {"dress": 1, "cape": 2, "hair": 3}[part.name]))
        start += len(part.vertices)
    return np.concatenate(faces), np.concatenate(owner), np.concatenate(uvs), {"materials": materials}, textures


def _hair_tone(recipe: Recipe) -> np.ndarray:
    return HAIRS[np.random.default_rng((*recipe.seed, 9)).integers(len(HAIRS))]


def _body_tints(rng: np.random.Generator, recipe: Recipe, body: Body, parts: list[Part]) -> np.ndarray:
    palette = PALETTES[recipe.palette]
    top = parts[0].vertices[parts[0].pins > 0.99][:, 2].max()
    top = 0.79 * body.height if recipe.top == "skirt" else min(top, 0.77 * body.height)
    cloth = palette[1] if recipe.top == "skirt" else 0.85 * palette[0]
    skin_tone = SKINS[rng.integers(len(SKINS))]
    return body_colors(body, skin_tone, _hair_tone(recipe), cloth, 0.7 * palette[2], 0.44 * body.height, float(top))


def _meta(recipe: Recipe, body: Body, parts: list[Part], frames: int) -> dict[str, Any]:
    sizes = [("Body", len(body.vertices)), *((p.name.capitalize(), len(p.vertices)) for p in parts)]
    starts = np.cumsum([0] + [size for _, size in sizes])
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": recipe.name,
        "fps": FPS,
        "frame_start": 1,
        "frame_end": frames,
        "width": WIDTH,
        "height": HEIGHT,
        "camera_type": "perspective",
        "objects": [
            {"name": name, "vertex_start": int(start), "vertex_count": size}
            for (name, size), start in zip(sizes, starts, strict=False)
        ],
        "bones": list(body.skeleton.names),
        "regions": list(REGIONS),
    }


def solver_input(planned: Planned, fabric: str) -> dict[str, np.ndarray]:
    """The arrays that simulate.py reads: see there."""
    rigid, body = planned.rigid, planned.body
    used, quads = np.unique(body.quads[body.faces_out], return_inverse=True)
    layers = [{"name": p.name, "fabric": fabric if p.region == GARMENT else "hair"} for p in planned.parts]
    arrays: dict[str, np.ndarray] = {
        "fps": np.array(FPS),
        "body_vertices": rigid[:, used],
        "body_quads": quads.reshape(-1, 4).astype(np.int32),
        "layers": np.array(json.dumps(layers)),
    }
    for i, (part, start) in enumerate(zip(planned.parts, planned.starts, strict=False)):
        arrays[f"vertices_{i}"] = rigid[:, start : start + len(part.vertices)]
        arrays[f"quads_{i}"] = part.quads.astype(np.int32)
        arrays[f"pins_{i}"] = part.pins.astype(np.float32)
    return arrays
