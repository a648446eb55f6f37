"""How much each constraint gives, so that an exact fabric is the same cloth on a mesh of any spacing.

One pass a substep of h seconds makes of a compliance a what a + h^2 w is, w being the inverse mass that it moves: the
finer a mesh, the softer. A fabric that is `exact` has that taken off its compliances. Coarse meshes err otherwise: few
hinges bend too far where cloth bends most, and cells too large to fold cannot shorten. Both are allowed for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .constraints import Constraints
from .fabrics import ClothSettings
from .worn import Worn

LEAST = 0.1  # share of its compliance that a constraint of an exact fabric keeps, or cloth would tremble
SAG = 3.25  # growth of bending with (spacing / bending length / 2)^2, so that those far apart carry what a sheet does
BUCKLING = 3 * math.pi**2  # a cell's ends are held by its neighbours: pi^2 were they free to turn, 4 pi^2 were they not
SPACING, MOST = 0.01, 4.0  # metres of an edge for which substeps hold; times as many that shorter ones take at most


class Compliances(NamedTuple):
    """Compliances of E edges, H hinges and S joints, m/N, and what edges bear.

    Attributes:
        edge_give, hinge_give, joint_give: (E,), (H,), (S,) to which a pass adds its own.
        edge_soft, hinge_soft: (E,), (H,) the least that both together are.
        edge_push: (E,) newtons with which an edge pushes its ends apart at most.
    """

    edge_give: np.ndarray
    edge_soft: np.ndarray
    edge_push: np.ndarray
    hinge_give: np.ndarray
    hinge_soft: np.ndarray
    joint_give: np.ndarray


def compliances(c: Constraints, worn: Worn, gravity: float) -> Compliances:
    """Those of `c`, of fabrics as `worn`; gravity in m/s^2."""
    m, exact = c.material, worn.each("exact") > 0
    stretch, bend, density = (worn.each(name) for name in ("stretch", "bend", "density"))
    edge, hinge = c.edges[:, 0], c.hinges[:, 0]
    length = np.cbrt(bend / (density * max(gravity, 1e-9)))[hinge]  # the bending length that Peirce's test measures
    apart = np.minimum(m.spacing / length / 2, 1)  # further apart than that, hinges have no say in how cloth hangs
    stiffer = np.where(exact[hinge], m.even * (1 + SAG * apart**2), 1)
    edges, hinges = 1 / (stretch[edge] * m.stretch), 1 / (bend[hinge] * m.bend * stiffer)
    push = BUCKLING * bend[edge] * m.stretch / np.maximum(c.edge_rest, 1e-9)  # the width is stretch times the length
    found = (
        np.where(exact[edge], LEAST * edges, edges),
        np.where(exact[edge], edges, 0),
        np.where(exact[edge], push, np.inf),
        np.where(exact[hinge], LEAST * hinges, hinges),
        np.where(exact[hinge], hinges, 0),
        1 / (bend[c.joints[:, 0]] * m.joints),
    )
    return Compliances(*(values.astype(np.float32) for values in found))


def settings_for(c: Constraints, worn: Worn) -> ClothSettings:
    """What holds for all of `worn`, with more substeps where an exact fabric has edges shorter than `SPACING`."""
    most = worn.settings.substeps
    of = worn.number[c.edges[:, 0]]
    for number, fabric in enumerate(worn.fabrics):
        own = c.edge_rest[of == number]
        if fabric.exact and len(own):
            finer = min(max(SPACING / max(float(np.median(own)), 1e-9), 1), MOST)
            most = max(most, math.ceil(fabric.substeps * finer))
    return replace(worn.settings, substeps=most)
