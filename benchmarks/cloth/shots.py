"""A person, an animal or a thing, its clothes and its motion as a `Shot`, which is what the engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.regions import BODY, HAIR, REGIONS
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import Material, ObjectRange, ShotMeta
from ani3d_formats.shot_scene import Collider
from cloth_truth.bodies import Body, sparse_weights, triangles
from cloth_truth.garments import Part

COLOURS = {"skin": (0.62, 0.42, 0.32), "hair": (0.13, 0.07, 0.04), "prop": (0.35, 0.33, 0.3)}
CLOTHS = ((0.1, 0.25, 0.42), (0.55, 0.12, 0.13), (0.72, 0.6, 0.34), (0.2, 0.38, 0.22))


@dataclass(frozen=True)
class Prop:
    """A closed mesh that is no body: vertices (P,3), triangles (F,3), and its place in each frame (T,4,4)."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    pose: np.ndarray


@dataclass(frozen=True)
class Worn:
    """A piece of clothing or hair in a scene.

    Attributes:
        fabric: by name; painted: the shot says where it is pinned; strands: points of each strand, 0 for a mesh.
    """

    part: Part
    fabric: str = ""
    painted: bool = True
    strands: int = 0


def box(low: Sequence[float], high: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (8,3) and triangles (12,3), outward."""
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return np.asarray(low) + corner * (np.asarray(high) - np.asarray(low)), triangles(quads)


def still(name: str, pieces: Sequence[tuple[np.ndarray, np.ndarray]], frames: int) -> Prop:
    """A prop of several closed pieces that does not move."""
    starts = np.cumsum([0] + [len(points) for points, _ in pieces])
    faces = np.concatenate([own + start for (_, own), start in zip(pieces, starts, strict=False)])
    return Prop(name, np.concatenate([p for p, _ in pieces]), faces, np.broadcast_to(np.eye(4), (frames, 4, 4)))


def make_shot(
    name: str,
    body: Body,
    transforms: np.ndarray,
    worn: Sequence[Worn],
    fps: float = 24.0,
    props: Sequence[Prop] = (),
    factor: float = 1.0,
) -> Shot:
    """A shot of T frames.

    Args:
        body: who; transforms: (T,B,4,4) from bind pose to each frame, world metres.
        worn: clothes and hair, innermost first.
        fps: frames a second; props: what else cloth may meet.
        factor: on all lengths, 1 for human size.
    """
    frames = len(transforms)
    skeleton, outside = body.skeleton, body.quads[body.faces_out]
    used, quads = np.unique(outside, return_inverse=True)
    skin_weights = body.weights[used]
    objects = {"Body": (body.vertices[used], triangles(quads.reshape(-1, 4)), skin_weights, BODY, COLOURS["skin"])}
    for number, item in enumerate(worn):
        title = unique(item.part.name.capitalize(), objects)
        tone = COLOURS["hair"] if item.part.region == HAIR else CLOTHS[number % len(CLOTHS)]
        objects[title] = (
            item.part.vertices,
            triangles(item.part.quads),
            item.part.weights,
            item.part.region,
            tone,
        )
    starts = np.cumsum([0] + [len(entry[0]) for entry in objects.values()])
    clothes = dict(zip(list(objects)[1:], worn, strict=False))
    vertices = np.concatenate([entry[0] for entry in objects.values()])
    indices, values = sparse_weights(np.concatenate([entry[2] for entry in objects.values()]))
    rest = skeleton.rest()
    pins = [np.ones(len(used)), *(w.part.pins if w.painted else np.full(len(w.part.pins), -1.0) for w in worn)]
    prop_starts = np.cumsum([0] + [len(prop.vertices) for prop in props])
    middle = transforms[:, 0, :3, 3] + transforms[:, 0, :3, :3] @ skeleton.heads[0]
    camera = CameraPath.around(middle, np.full(frames, 0.45), 0.15, np.full(frames, 3.4), np.radians(40), 240, 320)
    meta = ShotMeta(
        name=name,
        fps=fps,
        frame_start=1,
        frame_end=frames,
        width=240,
        height=320,
        objects=tuple(
            ObjectRange(
                title,
                int(start),
                len(entry[0]),
                strands=clothes[title].strands if title in clothes else 0,
                fabric=clothes[title].fabric if title in clothes else "",
            )
            for (title, entry), start in zip(objects.items(), starts, strict=False)
        ),
        bones=skeleton.names,
        materials=tuple(Material(title, entry[4]) for title, entry in objects.items()),
        regions=REGIONS,
        colliders=tuple(
            Collider(prop.name, int(start), len(prop.vertices)) for prop, start in zip(props, prop_starts, strict=False)
        ),
    )
    faces = [entry[1] + start for entry, start in zip(objects.values(), starts, strict=False)]
    corners = sum(map(len, faces))
    arrays: dict[str, np.ndarray] = {
        "meta": meta.to_array(),
        "vertices": vertices.astype(np.float32),
        "faces": np.concatenate(faces).astype(np.int32),
        "face_uvs": np.zeros((corners, 3, 2), np.float32),
        "face_materials": np.repeat(np.arange(len(faces)), [len(f) for f in faces]).astype(np.int32),
        "vertex_tints": np.ones_like(vertices, np.float32),
        "weight_indices": indices,
        "weight_values": values,
        "region_ids": np.concatenate([np.full(len(e[0]), e[3]) for e in objects.values()]).astype(np.int32),
        "pin_weights": np.concatenate(pins).astype(np.float32),
        "bone_parents": skeleton.parents.astype(np.int32),
        "bone_rest": rest.astype(np.float32),
        "bone_lengths": np.linalg.norm(skeleton.tails - skeleton.heads, axis=1).astype(np.float32),
        "bone_pose": (transforms.astype(np.float64) @ rest).astype(np.float32),
        "viewmats": camera.viewmats,
        "Ks": camera.Ks,
        "sun_directions": np.array([[0.45, 0.75, -0.75]], np.float32) / np.float32(1.152),
        "sun_colors": np.array([[1.75, 1.65, 1.5]], np.float32),
        "ambient": np.array([0.42, 0.43, 0.46], np.float32),
        "background": np.array([0.6, 0.6, 0.62], np.float32),
    }
    if props:
        arrays |= {
            "collider_vertices": np.concatenate([prop.vertices for prop in props]).astype(np.float32),
            "collider_faces": np.concatenate(
                [prop.faces + start for prop, start in zip(props, prop_starts, strict=False)]
            ).astype(np.int32),
            "collider_poses": np.stack([prop.pose for prop in props], 1).astype(np.float32),
        }
    shot = Shot.from_arrays(arrays)
    return shot if factor == 1 else shot.scaled(factor)


def unique(title: str, taken: Mapping[str, object]) -> str:
    """`title`, numbered where it is taken."""
    number, chosen = 1, title
    while chosen in taken:
        number, chosen = number + 1, f"{title} {number + 1}"
    return chosen


def solids(shot: Shot) -> np.ndarray:
    """The vertices (T,C,3) of a shot's colliders, world metres."""
    found = np.zeros((shot.frames, 0, 3))
    for number, item in enumerate(shot.meta.colliders):
        poses = shot["collider_poses"].astype(np.float64)
        poses = np.broadcast_to(poses, (shot.frames, *poses.shape[-3:]))[:, number]
        points = shot["collider_vertices"][item.rows].astype(np.float64)
        found = np.concatenate([found, points @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]], axis=1)
    return found
