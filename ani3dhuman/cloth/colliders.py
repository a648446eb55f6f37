"""The scene's colliders as one obstacle: near triangles only, small enough to be found, turned towards the cloth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ani3d_formats.shot import Shot

from ..mesh.kernels import point_normals
from ..mesh.surface import Obstacle
from ..mesh.topology import edges_of
from ..mesh.windings import windings

REACH = 0.4  # metres around the cloth's whole way in which colliders are kept
FINE, THIN = 0.12, 0.03  # metres of the longest edge of a triangle near the cloth; the least for something thin
MOST = 60_000  # triangles of one collider; larger ones are made coarser
FLOOR = "the floor"
UNDER = 0.03  # metres by which a collider may be under the feet and make a floor of ours needless
PIECES = 200  # of a collider that are turned, the largest; those of a heap of leaves stay as they are
LOOKED = 200  # points of the character that say on which side of a collider it is

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Mesh:
    """A collider through the shot: vertices (T,C,3), world metres, or one frame where it stands still; faces (D,3).

    `thickness`: metres kept from it, which its shape does not have yet; `friction`: 0 slides .. 1 sticks, -1 as the
    fabric says.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    thickness: float = 0.0
    friction: float = -1.0


def obstacle_of(shot: Shot, skinned: np.ndarray, loose: np.ndarray, floor: bool, warn: Warn) -> Obstacle | None:
    """All colliders of a shot, with a floor where the lowest point of the body is, if wished.

    Args:
        skinned: (T,V,3) the rigid layer, world metres.
        loose: (V,) bool, vertices of garment and hair.
        floor: add a floor, unless a collider is already there.
        warn: called with a sentence on each collider that is not taken as it is.

    Returns:
        Vertices of every frame, faces turned towards the character; None where nothing is near its cloth.
    """
    if not loose.any():
        return None
    low, high = skinned[:, loose].min((0, 1)) - REACH, skinned[:, loose].max((0, 1)) + REACH
    places = skinned[0, np.unique(np.linspace(0, skinned.shape[1] - 1, LOOKED).astype(int))].astype(np.float64)
    ready = [found for mesh in _meshes(shot, warn) if (found := _prepared(mesh, low, high, places, warn))]
    lowest = float(skinned[:, ~loose, 2].min()) if (~loose).any() else float(skinned[..., 2].min())
    if floor and low[2] < lowest and not any(_is_under(mesh, lowest) for mesh in ready):
        ready.append(_finer(_plane(low, high, lowest), low, high))
    if not ready:
        return None
    starts = np.cumsum([0, *(mesh.vertices.shape[1] for mesh in ready)])
    frames = [np.broadcast_to(mesh.vertices, (len(skinned), *mesh.vertices.shape[1:])) for mesh in ready]
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(ready, starts, strict=False)])
    rough = np.repeat([mesh.friction for mesh in ready], [len(mesh.faces) for mesh in ready])
    part = np.repeat(np.arange(len(ready)), [mesh.vertices.shape[1] for mesh in ready])
    return Obstacle(np.concatenate(frames, 1, dtype=np.float32), faces, friction=rough, part=part)


def _meshes(shot: Shot, warn: Warn) -> list[Mesh]:
    """The colliders of a shot as meshes; those without a whole face are told of and left out."""
    if not shot.meta.colliders:
        return []
    found, recorded, faces = [], 0, shot["collider_faces"]
    poses = shot["collider_poses"].reshape(-1, *shot["collider_poses"].shape[-3:])
    for number, item in enumerate(shot.meta.colliders):
        own = faces[(faces[:, 0] >= item.rows.start) & (faces[:, 0] < item.rows.stop)] - item.rows.start
        own = own[(own != np.roll(own, 1, axis=1)).all(1)]
        if len(own) == 0:
            warn(f"Collider '{item.name}' has no faces, so cloth does not notice it.")
            recorded += item.vertex_count if item.recorded else 0
            continue
        if item.recorded:
            vertices = shot["collider_recorded"][:, recorded : recorded + item.vertex_count]
            recorded += item.vertex_count
            found.append(Mesh(item.name, vertices, own, item.thickness, item.friction))
            continue
        still, moves = shot["collider_vertices"][item.rows][None], poses[:, number]
        mesh = Mesh(item.name, still, own, item.thickness, item.friction)
        if len(own) > MOST and (moves != moves[:1]).any():
            mesh = _coarser(mesh, warn)
        found.append(replace(mesh, vertices=_posed(mesh.vertices[0], moves)))
    return found


def _posed(vertices: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Vertices (C,3) in the poses (T,4,4): (T,C,3), one frame where all poses are alike."""
    if (poses == poses[:1]).all():
        poses = poses[:1]
    return np.einsum("tij,cj->tci", poses[:, :3, :3], vertices) + poses[:, None, :3, 3]


def _prepared(mesh: Mesh, low: np.ndarray, high: np.ndarray, places: np.ndarray, warn: Warn) -> Mesh | None:
    """What of a collider is near the cloth, neither too coarse nor too fine, turned towards `places` (Q,3)."""
    mesh = _within(mesh, low, high)
    if len(mesh.faces) == 0:
        return None
    if len(mesh.faces) > MOST:
        mesh = _coarser(mesh, warn)
    mesh = replace(mesh, faces=turned(mesh.vertices[0].astype(np.float64), mesh.faces, places))
    if mesh.thickness:
        normals = np.stack([point_normals(np.ascontiguousarray(x, np.float32), mesh.faces) for x in mesh.vertices])
        mesh = replace(mesh, vertices=mesh.vertices + np.float32(mesh.thickness) * normals)
    return _narrow(_finer(mesh, low, high))


def _narrow(mesh: Mesh) -> Mesh:
    """Sides split in two until none is longer than its closed piece is thick, as of posts and boards.

    From a point in a post the nearest corner of another piece may be nearer than the post's own ones.
    """
    limit = _thickness(mesh.vertices[0].astype(np.float64), mesh.faces)
    while len(mesh.faces) < MOST:
        edges = edges_of(mesh.faces)
        long = np.linalg.norm(mesh.vertices[0][edges[:, 0]] - mesh.vertices[0][edges[:, 1]], axis=1)
        edges = edges[long > 1.01 * limit[edges[:, 0]]]
        if len(edges) == 0:
            break
        mesh, limit = _divided(mesh, edges), np.append(limit, limit[edges[:, 0]])
    return mesh


def _thickness(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(C,) metres, of the closed piece of each vertex: 4 V / A, the side of a square rod; no more than `FINE`."""
    piece = connected_components(_pairs(faces, len(vertices)), False)[1]
    own, corners = piece[faces[:, 0]], vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.bincount(own, np.linalg.norm(normals, axis=1) / 2, piece.max() + 1)
    volume = np.abs(np.bincount(own, (normals * corners[:, 0]).sum(1) / 6, piece.max() + 1))
    thick = np.clip(4 * volume / np.maximum(area, 1e-12), THIN, FINE)
    thick[own[_at_rim(faces)]] = FINE
    return np.asarray(thick[piece])


def _within(mesh: Mesh, low: np.ndarray, high: np.ndarray) -> Mesh:
    """The faces that at some frame come into the box from `low` to `high` (3,)."""
    near = np.zeros(len(mesh.faces), bool)
    for frame in mesh.vertices:
        corners = frame[mesh.faces]
        near |= ((corners.max(1) > low) & (corners.min(1) < high)).all(1)
    used, compact = np.unique(mesh.faces[near], return_inverse=True)
    return replace(mesh, vertices=mesh.vertices[:, used], faces=compact.reshape(-1, 3))


def _coarser(mesh: Mesh, warn: Warn) -> Mesh:
    """At most `MOST` faces: vertices that share a cell of a grid become one."""
    first = mesh.vertices[0]
    spread = float(np.ptp(first, axis=0).max())
    cell, faces, count = spread / 256, mesh.faces, 0
    index = np.zeros(0, np.int64)
    while len(faces) > MOST or count == 0:
        keys = np.floor((first - first.min(0)) / max(cell, 1e-9)).astype(np.int64)
        index = np.unique(keys @ np.array([1, 1 << 20, 1 << 40]), return_inverse=True)[1].reshape(-1)
        count = int(index.max()) + 1
        faces = np.unique(index[mesh.faces], axis=0)
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
        cell *= 1.5
    members = np.bincount(index, minlength=count)
    sums = ([np.bincount(index, frame[:, k], count) for k in range(3)] for frame in mesh.vertices)
    middles = np.stack([np.stack(each, 1) / members[:, None] for each in sums])
    warn(
        f"Collider '{mesh.name}' has {len(mesh.faces):,} triangles where cloth may meet it; {len(faces):,} that follow "
        "its shape are used instead."
    )
    return replace(mesh, vertices=middles.astype(np.float32), faces=faces)


def _finer(mesh: Mesh, low: np.ndarray, high: np.ndarray) -> Mesh:
    """Faces split in four, and those of them far from the box left out, until no edge is longer than `FINE`.

    A face beside one that is split is divided at the new corners too: a walk over faces that share corners, as contact
    goes, would not get from one to the other.
    """
    while len(mesh.faces) < MOST:
        corners = mesh.vertices[0][mesh.faces]
        longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
        large = longest > FINE
        if not large.any():
            break
        mesh = _within(_divided(mesh, edges_of(mesh.faces[large])), low, high)
    return mesh


def _divided(mesh: Mesh, ends: np.ndarray) -> Mesh:
    """A mesh with new vertices, the last ones, in the middle of its edges `ends` (N,2)."""
    count = mesh.vertices.shape[1]
    sides = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2) @ np.array([count, 1])
    keys = ends @ np.array([count, 1])
    place = np.searchsorted(keys, sides).clip(max=len(keys) - 1)
    between = np.where(keys[place] == sides, place + count, -1)
    vertices = np.concatenate([mesh.vertices, mesh.vertices[:, ends].mean(2)], 1)
    return replace(mesh, vertices=vertices, faces=_split(mesh.faces, between))


def _split(faces: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Faces (D,3) divided at new vertices `between` (D,3) on the sides from each corner to the next, -1 for none."""
    number = (between >= 0).sum(1)
    found = [faces[number == 0]]
    for turn in range(3):
        (a, b, c), (ab, bc, ca) = np.roll(faces, -turn, 1).T, np.roll(between, -turn, 1).T
        one, two, four = ((number == n) & (ab >= 0) & ((ca < 0) | (n == 3)) for n in (1, 2, 3))
        for chosen, parts in (
            (one, ((a, ab, c), (ab, b, c))),
            (two, ((ab, b, bc), (a, ab, bc), (a, bc, c))),
            (four & (turn == 0), ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))),
        ):
            found += [np.stack(part, 1)[chosen] for part in parts]
    return np.concatenate(found)


def _plane(low: np.ndarray, high: np.ndarray, height: float) -> Mesh:
    (x0, y0), (x1, y1) = low[:2], high[:2]
    corners = np.array([[[x0, y0, height], [x1, y0, height], [x1, y1, height], [x0, y1, height]]], np.float32)
    return Mesh(FLOOR, corners, np.array([[0, 1, 2], [0, 2, 3]]))


def _is_under(mesh: Mesh, height: float) -> bool:
    """Whether a collider has ground about as high as the feet, over most of what is seen of it from above."""
    corners = mesh.vertices[0][mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    level = np.abs(normals[:, 2]) > 0.9 * np.linalg.norm(normals, axis=1)
    at_feet = level & (np.abs(corners[..., 2].mean(1) - height) < UNDER)
    return bool(np.linalg.norm(normals[at_feet], axis=1).sum() / 2 > 1.0)  # a square metre


def turned(vertices: np.ndarray, faces: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Faces (D,3) of vertices (C,3) wound so that their normals look to the side on which `places` (Q,3) are.

    Pieces are turned as wholes: closed ones outwards, or inwards where most places are inside; open ones by most
    places.
    """
    faces = _agreeing(faces)
    piece = connected_components(_pairs(faces, len(vertices)), False)[1][faces[:, 0]]
    for number in np.argsort(-np.bincount(piece), kind="stable")[:PIECES]:
        own = np.flatnonzero(piece == number)
        corners = vertices[faces[own]]
        if _is_closed(faces[own]):
            inside = np.abs(windings(vertices, faces[own], places)) > 0.5
            outward = np.einsum("fk,fk->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0
            flip = outward == (inside.mean() > 0.5)
        else:
            middles = corners.mean(1)
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            nearest = np.array([((middles - place) ** 2).sum(1).argmin() for place in places])
            before = ((places - middles[nearest]) * normals[nearest]).sum(1)
            flip = bool((before > 0).sum() < (before < 0).sum())
        if flip:
            faces[own] = faces[own][:, ::-1]
    return faces


def _pairs(faces: np.ndarray, count: int) -> coo_array:
    edges = edges_of(faces)
    return coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))


def _agreeing(faces: np.ndarray) -> np.ndarray:
    """The same faces (D,3), wound so that neighbours over an edge of two faces agree."""
    directed = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    owner, flipped = np.repeat(np.arange(len(faces)), 3), directed[:, 0] > directed[:, 1]
    keys = np.sort(directed, axis=1) @ np.array([1, int(faces.max()) + 1])
    order = np.argsort(keys, kind="stable")
    keys, owner, flipped = keys[order], owner[order], flipped[order]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    one = first[counts == 2]
    other = one + 1
    against = flipped[one] == flipped[other]  # both run along the edge the same way
    graph = coo_array((np.ones(len(one)), (owner[one], owner[other])), shape=(len(faces), len(faces))).tocsr()
    turned_over = np.zeros(len(faces), bool)
    parity = {**_by_pair(owner[one], owner[other], against), **_by_pair(owner[other], owner[one], against)}
    done = np.zeros(len(faces), bool)
    for start in range(len(faces)):
        if done[start]:
            continue
        nodes, before = breadth_first_order(graph, start, directed=False)
        done[nodes] = True
        for node in nodes[1:]:
            turned_over[node] = turned_over[before[node]] ^ parity[before[node], node]
    return np.where(turned_over[:, None], faces[:, ::-1], faces)


def _by_pair(one: np.ndarray, other: np.ndarray, values: np.ndarray) -> dict[tuple[int, int], bool]:
    return dict(zip(zip(one.tolist(), other.tolist(), strict=True), values.tolist(), strict=True))


def _at_rim(faces: np.ndarray) -> np.ndarray:
    """Which faces (D,3) have an edge that an odd number of faces share."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    edge, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)[1:]
    return np.asarray((count[edge.reshape(-1, 3)] % 2 == 1).any(1))


def _is_closed(faces: np.ndarray) -> bool:
    return not _at_rim(faces).any()
