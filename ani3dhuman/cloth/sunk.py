"""What has got into the body after all, at the end of a frame: brought out, and from then on watched from there.

A particle follows places on the body from frame to frame. Where the body has folds and fins, as behind an ear, or where
a limb went through cloth, those may be the wrong ones, and keep it in.
"""

from __future__ import annotations

import numpy as np

from ..mesh.kernels import heights_over
from ..mesh.surface import Contacts
from ..mesh.windings import windings
from .contact.candidates import Cover
from .contact.touch import FAILED, Lists, go_between
from .kernels import Pose

DEEP = 0.0015  # metres
NEAR = 0.01  # metres from the followed places, within which a particle is looked at
MOST = 100  # particles in a frame, the deepest
HEAVY = 0.02  # times its own, the mobility of what is brought out: other cloth gives way


def brought_out(
    x: np.ndarray, pose: Pose, contacts: Contacts, cover: Cover, spare: Lists
) -> tuple[np.ndarray, bool, Lists]:
    """Places (P,3) in which what lies in the body, once, comes to its surface, crossing nothing on the way.

    Where the body passes through itself it is left.

    Returns:
        The places; whether something could not be kept apart; `spare`, which is used for it.
    """
    obstacle = contacts.obstacle
    if obstacle is None or contacts.fresh:
        return x, False, spare
    rows = contacts.rows[contacts.clear[contacts.rows].min(1) < NEAR]
    near = contacts.nearest(x[rows], pose.body)
    height, away = heights_over(x[rows], near, pose.body, pose.normals, contacts.faces, *contacts.around)
    sunk = np.flatnonzero((height < -DEEP) & (height > -obstacle.deepest))
    sunk = sunk[np.argsort(height[sunk], kind="stable")[:MOST]]
    first = len(pose.body) - contacts.scene  # a floor has no inside: only the body is asked how often it goes around
    turns = windings(pose.body, contacts.faces[contacts.faces[:, 0] < first], x[rows[sunk]])
    sunk = sunk[((turns > 0.5) & (turns < 1.5)) | (near[sunk] >= first)]
    if len(sunk) == 0:
        return x, False, spare
    done, mobile, chosen = x.copy(), cover.inv_mass.copy(), rows[sunk]
    done[chosen] -= height[sunk, None] * away[sunk]
    mobile[chosen] *= np.float32(HEAVY)
    contacts.follow(chosen, near[sunk])
    failed = False
    if len(cover.faces):
        spare = go_between(x, done, cover._replace(inv_mass=mobile), spare)
        failed = bool(spare.clock[FAILED] > 0)
    return done, failed, spare
