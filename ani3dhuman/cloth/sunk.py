"""What has got into the body after all, at the end of a frame: brought out, and from then on watched from there.

A particle follows places on the body from frame to frame. Where the body has folds and fins, as behind an ear, or where
a limb went through cloth, those may be the wrong ones, and keep it in.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..mesh.kernels import heights_over, heights_over_of_many, limit_edges
from ..mesh.surface import Contacts
from ..mesh.windings import windings
from .constraints import Constraints
from .contact.candidates import Cover
from .contact.touch import FAILED, Lists, go_between
from .exits import Exits
from .kernels import Pose
from .passages import Passages

DEEP = 0.0015  # metres
NEAR = 0.01  # metres from the followed places, within which a particle is looked at
MOST = 100  # particles in a frame, the deepest
LONG, ROUNDS = 1.15, 20  # times its rest that an edge may become for it; in which neighbours are drawn along
HALVES = 4  # times that the way of what would still be torn is halved
SHARES, TOGETHER = (1.0, 0.5, 0.25, 0.0), 0.02  # of its way that what lies together may go; metres between it
UNSEEN = 1e-6  # metres
HEAVY = 0.02  # times its own, the mobility of what is brought out: other cloth gives way


def brought_out(
    x: np.ndarray,
    pose: Pose,
    ways: tuple[Exits, Passages],
    constraints: Constraints,
    cover: Cover,
    spare: Lists,
    crossed: bool,
) -> tuple[np.ndarray, bool, Lists]:
    """Places (P,3) in which what lies in the body, once, comes to its surface, crossing nothing on the way.

    Where the body passes through itself it is left. `crossed`: whether cloth may cross itself at `x`.

    Returns:
        The places; whether something could not be kept apart; `spare`, which is used for it.
    """
    exits, passages = ways
    contacts, obstacle = exits.contacts, exits.contacts.obstacle
    if obstacle is None or contacts.fresh:
        return x, False, spare
    asked = contacts.touching(x, pose.body, NEAR)
    rows, near = contacts.rows[asked], contacts.nearest(x, pose.body)[1][asked]
    height, away = heights_over_of_many(x[rows], near, pose.body, pose.normals, contacts.faces, *contacts.around)
    first = len(pose.body) - contacts.scene
    hidden = np.flatnonzero((near >= first) & (height > 0))
    if first and len(hidden):  # the scene is nearer, but not what it is in
        skin = cKDTree(pose.body[:first], balanced_tree=False, compact_nodes=False).query(x[rows[hidden]])[1]
        under, out = heights_over(x[rows[hidden]], skin, pose.body, pose.normals, contacts.faces, *contacts.around)
        lies = (under < -DEEP) & (under > -obstacle.deepest)
        near[hidden[lies]], height[hidden[lies]], away[hidden[lies]] = skin[lies], under[lies], out[lies]
    sunk = np.flatnonzero((height < -DEEP) & (height > -obstacle.deepest))
    sunk = sunk[np.argsort(height[sunk], kind="stable")[:MOST]]
    # a floor has no inside: only the body is asked how often it goes around
    turns = windings(pose.body, contacts.faces[contacts.faces[:, 0] < first], x[rows[sunk]])
    sunk = sunk[((turns > 0.5) & (turns < 1.5)) | (near[sunk] >= first)]
    sunk = sunk[(near[sunk] < first) | ~exits.elsewhere(rows[sunk], away[sunk])]
    sunk = sunk[(near[sunk] >= first) | ~passages.elsewhere(rows[sunk], away[sunk])]
    if len(sunk) == 0:
        return x, False, spare
    mobile, chosen = cover.inv_mass.copy(), rows[sunk]
    mobile[chosen] *= np.float32(HEAVY)
    done = _drawn(x, chosen, -height[sunk, None] * away[sunk], mobile, constraints)
    contacts.follow(chosen, near[sunk])
    failed = False
    if len(cover.faces):
        spare = go_between(x, done, cover._replace(inv_mass=mobile), spare, crossed)
        failed = bool(spare.clock[FAILED] > 0)
    return _no_deeper(x, done, pose, contacts), failed, spare


def _no_deeper(x: np.ndarray, done: np.ndarray, pose: Pose, contacts: Contacts) -> np.ndarray:
    """Places (P,3) on the way from `x` to `done`, where what is drawn along, or gives way, is in the body no deeper.

    What lies together goes so much of its way, of `SHARES`, that the deepest of it is least deep.
    """
    assert contacts.obstacle is not None
    rows = np.flatnonzero(np.abs(done - x).max(1) > UNSEEN)
    if len(rows) == 0:
        return done
    tree = cKDTree(x[rows])
    pairs = tree.query_pairs(TOGETHER, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(rows), len(rows)))
    count, group = connected_components(graph, False)
    near, deepest = np.zeros(len(rows), np.int64), np.zeros((len(SHARES), count))
    for turn, share in enumerate(SHARES):
        places = (x[rows] + np.float32(share) * (done[rows] - x[rows])).astype(np.float32)
        near = contacts.nearest_to(places, pose.body, near)
        height, _ = heights_over(places, near, pose.body, pose.normals, contacts.faces, *contacts.around)
        np.maximum.at(deepest[turn], group, np.where(height > -contacts.obstacle.deepest, -height, 0))
    best = np.where(deepest[0] <= DEEP, 0, deepest.argmin(0))
    done[rows] += (np.array(SHARES, np.float32)[best][group] - 1)[:, None] * (done[rows] - x[rows])
    return done


def _drawn(
    x: np.ndarray, chosen: np.ndarray, way: np.ndarray, mobile: np.ndarray, constraints: Constraints
) -> np.ndarray:
    """Places (P,3) with particles `chosen` (N,) moved by `way` (N,3), or less where their neighbours cannot follow."""
    edges, rest = constraints.edges, constraints.edge_rest
    longest, share = np.float32(LONG) * rest, np.ones((len(chosen), 1), np.float32)

    def lengths(places: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1))

    usual = np.maximum(lengths(x), longest) * 1.01
    for turn in range(HALVES + 1):
        done = x.copy()
        done[chosen] += share * way
        limit_edges(done, mobile, edges, np.zeros_like(rest), longest, ROUNDS)
        torn = np.isin(chosen, edges[lengths(done) > usual])
        if not torn.any():
            return done
        share[torn] *= 0.5 if turn < HALVES - 1 else 0.0
    return x.copy()
