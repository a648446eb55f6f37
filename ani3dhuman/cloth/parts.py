"""Cloth in parts that lie side by side, each solved on a core of its own; what lies between comes after."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .constraints import Constraints

LANES = 8  # stretches of a part that are solved in turns
PARTS = 4  # whatever the number of threads, so that the order of what is solved does not change


class Parts(NamedTuple):
    """P particles in `PARTS` parts.

    Attributes:
        members: (P,) int64; members[starts[d]:starts[d + 1]]: the particles of part d; starts: (PARTS + 1,).
        edges, hinges, joints: (PARTS + 2,) where those within each part begin, then those between parts, and their
            number.
    """

    members: np.ndarray
    starts: np.ndarray
    edges: np.ndarray
    hinges: np.ndarray
    joints: np.ndarray


def in_parts(constraints: Constraints, rest: np.ndarray) -> tuple[Constraints, Parts]:
    """Those of `constraints` that move, part by part, by places `rest` (P,3); a strand is never divided."""
    c, places = constraints.that_move(), np.asarray(rest, np.float64)
    if len(c.joints):
        piece = constraints.islands()
        means = [np.bincount(piece, column) / np.bincount(piece) for column in places.T]
        places = np.stack(means, 1)[piece]
    part = np.zeros(len(places), np.int64)
    for _ in range(PARTS.bit_length() - 1):
        for number in range(part.max(initial=0), -1, -1):  # upwards, new numbers would be taken for old ones
            own = np.flatnonzero(part == number)
            part[own] = 2 * number
            if len(own):
                along = places[own, np.ptp(places[own], axis=0).argmax()]
                part[own[along > np.median(along)]] += 1
    orders, begins = zip(*(_ordered(part, rows) for rows in (c.edges, c.hinges, c.joints)), strict=True)
    if not len(c.joints):  # a strand is pulled straight from its root to its tip
        orders = (*(_in_lanes(order, begin) for order, begin in zip(orders[:2], begins[:2], strict=True)), orders[2])
    return c.in_order(*orders), Parts(*_ordered(part, np.arange(len(part))[:, None], PARTS), *begins)


def _ordered(part: np.ndarray, rows: np.ndarray, parts: int = PARTS + 1) -> tuple[np.ndarray, np.ndarray]:
    """Order (N,) of rows (N,K) of particles by the part that all of a row are in, and where each of `parts` begins."""
    of = part[rows]
    each = np.where((of == of[:, :1]).all(1), of[:, 0], PARTS)
    return np.argsort(each, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(each, minlength=parts))])


def _in_lanes(order: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """An order (N,) in which each part, that `begins` tells apart, takes turns among `LANES` stretches of it.

    What follows upon another then seldom needs its result, and a core works on several at once.
    """
    found = []
    for first, last in pairwise(begins):
        long = -(-(last - first) // LANES)
        rows = np.full(long * LANES, -1)
        rows[: last - first] = order[first:last]
        turns = rows.reshape(LANES, long).T.ravel()
        found.append(turns[turns >= 0])
    return np.concatenate(found)
