"""Which garment and hair vertices stay on the skin, when the artist has not painted it.

Distances are metres at human size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .human_size import human_scale
from .pieces import SAME_PLACE, close_pairs, components, edge_pairs
from .regions import GARMENT, HAIR, is_loose

PIN_GROUP = "ani3d_pin"  # the vertex group, or attribute of hair curves, that has what the artist painted
GAP_FIXED = {GARMENT: 0.012, HAIR: 0.012}  # metres: closer than this a vertex sits on the skin
GAP_FREE = {GARMENT: 0.045, HAIR: 0.035}  # metres: further than this it flies
HOLDS = 0.5  # pin weight from which a vertex carries the cloth that hangs on it
FIRM = 0.1  # a painted pin weight from which on a piece does not fall
REACH = 0.15  # metres: further than this from all that could hold it a piece is held by nothing
EDGE_FIXED, EDGE_FREE = 0.03, 0.12  # metres from a piece's upper edge: held up to here, free from there on
SMALL = 0.06  # metres: a piece of this size is a button or a buckle
ON_CLOTH = 0.02  # metres: closer than this a button lies on the cloth
LIMB = 0.12, 0.2  # metres from a bone without skin: what stands for the limb, and what hangs from it

Nearest = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From points (P,3) and targets (S,3) to the distance (P,) to and the index (P,) of the nearest target."""


@dataclass(frozen=True)
class Pins:
    """Pin weights (V,) in 0..1, and the vertices of each piece that nothing holds; those have weight 1."""

    weights: np.ndarray
    unheld: tuple[np.ndarray, ...]


def pin_weights(shot: Mapping[str, np.ndarray], nearest: Nearest) -> np.ndarray:
    """The weights (V,) of `find_pins`."""
    return find_pins(shot, nearest).weights


def find_pins(shot: Mapping[str, np.ndarray], nearest: Nearest) -> Pins:
    """Pin weights (V,) in 0..1: 1 stays with the skin, 0 is free; body and face are always 1.

    Painted weights (the vertex group `ani3d_pin`, -1 where a mesh has none) win. Elsewhere the rule is
    how close a vertex lies to the skin in the bind pose and how alike its skin weights are to the skin
    below: a bodice that hugs the chest moves with it, a skirt that hangs between two thighs does not.
    A sleeve around a bone that moves no skin is the arm itself.

    A connected piece that gets no hold so is held along its upper edge, or where it is nearest to the skin or to cloth
    that is held; one further away than `REACH` follows the skeleton.

    Args:
        shot: the arrays of a shot by name.
        nearest: the search for nearest points; `nearest_of_all` needs NumPy alone.
    """
    scale = np.float32(human_scale(shot["vertices"]))
    regions, vertices = shot["region_ids"], shot["vertices"] * scale
    loose, skin = is_loose(regions), np.flatnonzero(~is_loose(regions))
    pins = np.ones(len(vertices), np.float32)
    dense = np.zeros((len(vertices), len(shot["bone_rest"])), np.float32)
    np.add.at(dense, (np.arange(len(dense))[:, None], shot["weight_indices"]), shot["weight_values"])
    for region in (HAIR, GARMENT):
        own = np.flatnonzero(regions == region)
        if len(own) == 0:
            continue
        if len(skin) == 0:
            pins[own] = 0
            continue
        gap, below = nearest(vertices[own], vertices[skin])
        alike = np.minimum(dense[own], dense[skin[below]]).sum(1)
        pins[own] = _fade(gap, GAP_FIXED[region], GAP_FREE[region]) * np.clip(2 * alike - 1, 0, 1)
    garment = np.flatnonzero(regions == GARMENT)
    if len(garment) and len(skin):
        pins[garment] = np.maximum(pins[garment], _limbs(shot, vertices, dense, garment, skin, nearest, scale))
    painted = loose & (shot.get("pin_weights", np.full(len(pins), -1)) >= 0)
    if painted.any():
        pins[painted] = np.clip(shot["pin_weights"][painted], 0, 1)
    needy = []
    for piece in pieces_of(shot["faces"], vertices, dense, regions):
        if painted[piece].any() and pins[piece].max() >= FIRM:
            continue
        if _is_held(pins[piece], vertices[piece]):
            pins[piece] /= pins[piece].max()
        else:
            needy.append(piece)
    middle = shot["bone_rest"][_root(shot["bone_parents"]), :3, 3] * scale
    return _hold_pieces(pins, needy, vertices, regions, middle, nearest)


def _root(parents: np.ndarray) -> int:
    """The bone without a parent on which most others hang."""
    roots = np.arange(len(parents))
    for _ in range(len(parents)):
        roots = np.where(parents[roots] >= 0, parents[roots], roots)
    return int(np.bincount(roots).argmax())


def pieces_of(faces: np.ndarray, vertices: np.ndarray, weights: np.ndarray, regions: np.ndarray) -> list[np.ndarray]:
    """The vertices of each connected piece of garment or hair, hair with hair and garment with garment.

    Args:
        faces: (F,3); vertices: (V,3) of a character of human size; weights: (V,B); regions: (V,).
    """
    loose = np.flatnonzero(is_loose(regions))
    if len(loose) == 0:
        return []
    near = loose[close_pairs(vertices[loose], SAME_PLACE)]
    near = near[np.minimum(weights[near[:, 0]], weights[near[:, 1]]).sum(1) > 0.98]
    pairs = np.concatenate([edge_pairs(faces), near])
    pairs = pairs[is_loose(regions[pairs]).all(1) & (regions[pairs[:, 0]] == regions[pairs[:, 1]])]
    labels = components(len(vertices), pairs)[loose]
    order = np.argsort(labels, kind="stable")
    return np.split(loose[order], np.flatnonzero(np.diff(labels[order])) + 1)


def _hold_pieces(
    pins: np.ndarray,
    needy: list[np.ndarray],
    vertices: np.ndarray,
    regions: np.ndarray,
    middle: np.ndarray,
    nearest: Nearest,
) -> Pins:
    """Pins (V,) in which each piece of `needy` is held; what holds one may be another that is held."""
    waiting = np.zeros(len(pins), bool)
    for piece in needy:
        waiting[piece] = True
    holding = np.flatnonzero(~waiting & (pins >= HOLDS))
    left = [piece for piece in needy if _size(vertices[piece]) >= SMALL]
    while left and len(holding):
        reached, further = [], []
        for piece, gap in zip(left, _gaps(left, vertices, holding, nearest), strict=True):
            if gap.min() > REACH:
                further.append(piece)
                continue
            pins[piece] = np.maximum(pins[piece], _upper_edge(vertices[piece], gap, middle, regions[piece[0]]))
            reached.append(piece[pins[piece] >= HOLDS])
        holding, left = np.concatenate([np.zeros(0, int), *reached]), further
    for piece in left:
        pins[piece] = 1
    buttons = [piece for piece in needy if _size(vertices[piece]) < SMALL]
    for piece in buttons:
        pins[piece] = 1
    if buttons:
        left += _sew_buttons(pins, buttons, vertices, regions, nearest)
    return Pins(pins, tuple(left))


def _sew_buttons(
    pins: np.ndarray, buttons: list[np.ndarray], vertices: np.ndarray, regions: np.ndarray, nearest: Nearest
) -> list[np.ndarray]:
    """Give `buttons` the pins (V,) of the cloth that they lie on, in place; returns those far from everything."""
    own = np.zeros(len(pins), bool)
    own[np.concatenate(buttons)] = True
    cloth, held = np.flatnonzero(is_loose(regions) & ~own), np.flatnonzero((pins >= HOLDS) & ~own)
    far = []
    for piece, gap, lies in zip(
        buttons, _gaps(buttons, vertices, held, nearest), _gaps(buttons, vertices, cloth, nearest), strict=True
    ):
        if lies.min() < min(ON_CLOTH, gap.min() + 1e-6):
            lowest = piece[[lies.argmin()]]
            pins[piece] = pins[cloth[nearest(vertices[lowest], vertices[cloth])[1]]]
        elif gap.min() > REACH:
            far.append(piece)
    return far


def _gaps(pieces: list[np.ndarray], vertices: np.ndarray, targets: np.ndarray, nearest: Nearest) -> list[np.ndarray]:
    """For each of `pieces` the distances of its vertices to the nearest of `targets`."""
    if len(targets) == 0:
        return [np.full(len(piece), np.inf) for piece in pieces]
    found = nearest(vertices[np.concatenate(pieces)], vertices[targets])[0]
    return np.split(found, np.cumsum([len(piece) for piece in pieces])[:-1])


def _is_held(pins: np.ndarray, places: np.ndarray) -> bool:
    """Whether a piece's pins (P,) hold it: some of them in its upper half, or many."""
    held = pins >= HOLDS
    if not held.any():
        return False
    z = places[:, 2]
    return bool(held.mean() > 0.1 or z[held].max() >= 0.5 * (z.min() + z.max()))


def _upper_edge(places: np.ndarray, gap: np.ndarray, middle: np.ndarray, region: int) -> np.ndarray:
    """Weights (P,) that hold a piece where it would be fastened.

    Garments hang from their upper edge, hair from where it is nearest to the head, and what lies flat, as sleeves of a
    T pose and tutus do, from where it is nearest to the skin and to the `middle` (3,) of the body.

    Args:
        places: (P,3); gap: (P,) distance to what may hold it.
    """
    size = np.ptp(places, axis=0)
    below = places[:, 2].max() - places[:, 2]
    if size[2] < 0.5 * size.max():
        below = np.linalg.norm((places - middle)[:, :2], axis=1)
        away = 0.25 * below + gap
    else:
        away = 0.3 * below + gap if region == HAIR else below + 0.5 * gap
    away = away - away.min()
    if gap[away < EDGE_FIXED].min() > REACH:  # what is on top is not what is near: a banner, a cloth in the hand
        away = gap - gap.min()
    reach = away.max()
    if reach < 1e-6:
        return np.ones(len(places), np.float32)
    return _fade(away, min(EDGE_FIXED, 0.15 * reach), min(EDGE_FREE, 0.5 * reach)).astype(np.float32)


def _limbs(
    shot: Mapping[str, np.ndarray],
    vertices: np.ndarray,
    dense: np.ndarray,
    garment: np.ndarray,
    skin: np.ndarray,
    nearest: Nearest,
    scale: np.float32,
) -> np.ndarray:
    """Weights (G,) of garment vertices that are a limb: around a bone that moves no skin, such as an empty sleeve.

    Bones of the cloth's own, in the plane of a cape or along a braid, are none: no skin hangs on the end of them.
    """
    parents, heads = shot["bone_parents"], shot["bone_rest"][:, :3, 3] * scale
    has_skin = (dense[skin] > HOLDS).any(0)
    leads_to_skin = has_skin.copy()
    for _ in range(len(parents)):
        leads_to_skin[parents[(parents >= 0) & leads_to_skin]] = True
    result = np.zeros(len(garment), np.float32)
    main = dense[garment].argmax(1)
    for bone in np.flatnonzero(~has_skin & np.isin(np.arange(len(parents)), main)):
        own = np.flatnonzero(main == bone)
        along = shot["bone_rest"][bone, :3, 1]
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        away = vertices[garment[own]] - heads[bone]
        length = shot["bone_lengths"][bone] * scale
        across = away - np.clip(away @ along, 0, length)[:, None] * along
        distance = np.linalg.norm(across, axis=1)
        gap = nearest(vertices[garment[own]], vertices[skin])[0]
        if np.median(gap) < 0.9 * np.median(distance):
            continue
        if leads_to_skin[bone] or _goes_round(across, along):
            result[own] = _fade(distance, *LIMB)
    return result


def _goes_round(across: np.ndarray, axis: np.ndarray) -> bool:
    """Whether offsets (P,3) from an axis (3,) lie all round it, and not in one plane."""
    if len(across) < 8:
        return False
    radial = across - (across @ axis)[:, None] * axis
    spread = np.linalg.svd(radial, compute_uv=False)
    return bool(spread[1] > 0.4 * spread[0])


def _fade(distance: np.ndarray, fixed: float, free: float) -> np.ndarray:
    """1 up to `fixed`, 0 from `free` on, smooth between."""
    share = np.clip((free - distance) / (free - fixed), 0, 1)
    return share**2 * (3 - 2 * share)


def _size(places: np.ndarray) -> float:
    return float(np.ptp(places, axis=0).max())


def nearest_of_all(points: np.ndarray, targets: np.ndarray, chunk: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A `Nearest` that compares every point with every target, `chunk` points at a time."""
    middle = targets.mean(0, dtype=np.float64)
    points, targets = points.astype(np.float64) - middle, targets.astype(np.float64) - middle
    squares = (targets**2).sum(1)
    index = np.concatenate(
        [np.argmin(squares - 2 * points[i : i + chunk] @ targets.T, axis=1) for i in range(0, len(points), chunk)]
    )
    return np.linalg.norm(points - targets[index], axis=1), index
