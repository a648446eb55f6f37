"""A person of Gaussians on a skeleton alone: a shot with a mesh made around them, and the binding to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY, REGIONS
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import Material

from ..avatar.skeleton_proxy import Proxy, Skeleton, proxy_of
from ..bodies.model import sparse_weights
from ..pose.skeleton import bone_ends
from ..splats.splats import Splats
from .import_avatar import Box, row_of


@dataclass(frozen=True)
class Guess:
    """What the skeleton says of a person: shares of the mesh, 0..1.

    Attributes:
        shot: the skeleton's scene, with the mesh.
        doubtful: where a bone of another limb is about as near.
        unseen: where no bone is seen, as on a skirt, and what is around decides.
        parts: bones by how much of the mesh is in doubt there, the most first: (name, share of all vertices).
    """

    shot: Shot
    doubtful: float
    unseen: float
    parts: tuple[tuple[str, float], ...]


def shot_around(
    splats: Splats,
    rig: Shot,
    name: str,
    frame: int | None = None,
    boxes: Sequence[Box] = (),
    progress: Progress | None = None,
) -> Guess:
    """The scene of `rig` with a mesh around Gaussians, which its bones move; its own meshes are left out.

    Args:
        splats: in Blender's axes, metres of the scene.
        rig: whose skeleton stands as the Gaussians do.
        name: of the new shot and its mesh.
        frame: scene frame in whose pose they stand; None for the rest pose.
        boxes: regions of the mesh, all else is body.
        progress: advanced by `avatar.skeleton_proxy.STEPS`.

    Raises:
        Ani3DError: ``avatar.empty``, ``avatar.far``, ``avatar.too_few``; ``avatar.no_bones`` without any;
            ``shot.frame`` for a frame that the shot has not.
        Cancelled: between steps.
    """
    own = np.array(rig.meta.skeleton, int)
    if not len(own):
        raise Ani3DError("avatar.no_bones", f"{rig.name} has no bones.", "Give a shot with a skeleton.")
    pose = rig["bone_rest"] if frame is None else rig["bone_pose"][row_of(rig, frame)]
    heads, tails = (ends[own].astype(np.float64) for ends in bone_ends(pose, rig["bone_lengths"]))
    rows = {int(row): k for k, row in enumerate(own)}
    parents = np.array([rows.get(int(parent), -1) for parent in rig["bone_parents"][own]])
    origin = np.asarray(rig.meta.origin, np.float32)
    placed = Splats(splats.means - origin, splats.quats, splats.scales, splats.opacities, splats.sh)
    proxy = proxy_of(placed, Skeleton(heads, tails, parents), progress)
    order, values = sparse_weights(proxy.weights)  # four would leave steps where many bones are near
    vertices = proxy.vertices if frame is None else _at_rest(proxy, own[order], values, pose, rig["bone_rest"])
    regions = np.full(len(vertices), BODY)
    for box in boxes:
        at = proxy.vertices + origin
        regions[((at >= np.array(box.low)) & (at <= np.array(box.high))).all(1)] = REGIONS.index(box.region)
    arrays = {
        "vertices": vertices,
        "faces": proxy.faces,
        "weight_indices": own[order],
        "weight_values": values,
        "region_ids": regions,
        "vertex_tints": srgb_to_linear(proxy.colors),
    }
    shot = rig.with_mesh(name, arrays, Material("Person", (1.0, 1.0, 1.0)))
    strongest, doubt = own[order[:, 0]], proxy.doubtful | proxy.unseen
    share = np.bincount(strongest[doubt], minlength=len(rig.meta.bones)) / len(vertices)
    parts = tuple((rig.meta.bones[row], float(share[row])) for row in np.argsort(-share) if share[row] > 0)
    return Guess(shot, float(proxy.doubtful.mean()), float(proxy.unseen.mean()), parts)


def _at_rest(proxy: Proxy, bones: np.ndarray, values: np.ndarray, pose: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(V,3) where a mesh in a pose (B,4,4) stands at rest: linear skinning undone."""
    moved = pose.astype(np.float64) @ np.linalg.inv(rest.astype(np.float64))
    blended = np.einsum("vk,vkij->vij", values, moved[bones])
    points = np.c_[proxy.vertices, np.ones(len(proxy.vertices))]
    return np.einsum("vij,vj->vi", np.linalg.pinv(blended), points)[:, :3]
