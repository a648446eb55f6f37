"""Which places on a moving mesh each particle follows (numba); see `surface.Contacts`."""

from __future__ import annotations

import math

import numpy as np

from ..jit import kernel

WITHIN = np.float32(0.04)  # metres: where a place that faces the nearest one is looked for
FACING = np.float32(-0.3)  # cosine of their normals
CLOSE = np.float32(0.01)  # metres from such a place within which it is kept
TOWARDS = np.float32(0.5)  # of the distance to the body, that a particle goes in a frame and may then have met it
NOWHERE = 1e6  # metres from a place, for one that is not to be followed


@kernel
def choose_places(rows, now, then, across, normals, fresh, near, clear, kept):  # type: ignore[no-untyped-def]
    """Write the places that particles `rows` (N,) follow in a frame to `near` and `clear` (P,C); see `kernels.Body`.

    That is the one that they were nearest to before, one across from that, the nearest `now` and `then` (N,), each
    once. `across` (N,): what was found there, -1 for nothing; what pressed from there before goes on doing so, and is
    written. `kept` (N,) is written too. `normals` (Q,3): of the points; `fresh`: nothing was followed before.
    """
    far = np.float32(NOWHERE)
    for n in range(rows.shape[0]):
        i, best = rows[n], 0
        for c in range(1, near.shape[1]):
            if clear[i, c] < clear[i, best]:
                best = c
        first = now[n] if fresh else near[i, best]
        kept[n] = first
        if not fresh:
            least, pressed = CLOSE, -1
            for c in range(near.shape[1]):
                q = near[i, c]
                cosine = normals[q, 0] * normals[first, 0] + normals[q, 1] * normals[first, 1]
                cosine += normals[q, 2] * normals[first, 2]
                if cosine < FACING and clear[i, c] < least:
                    least, pressed = clear[i, c], q
            if pressed >= 0:
                across[n] = pressed
        other, one, last = across[n], now[n], then[n]
        clear[i] = 0.0  # each is looked at in the first substep: a bound by what is nearest lets cloth sink
        near[i, 0], near[i, 1], near[i, 2], near[i, 3] = first, max(other, 0), one, last
        if other < 0:
            clear[i, 1] = far
        if one in (first, other):
            clear[i, 2] = far
        if last in (first, other, one):
            clear[i, 3] = far


@kernel
def may_touch(rows, x, points, clear, close, began):  # type: ignore[no-untyped-def]
    """Which of `rows` (N,) bool came within `close` of a place, or went far against the mesh; see `Contacts.touching`.

    `began`: as of `Contacts`.
    """
    far, off, below = began
    near = np.empty(rows.shape[0], np.bool_)
    for n in range(rows.shape[0]):
        i, q = rows[n], below[n]
        dx = x[i, 0] - points[q, 0] - off[n, 0]
        dy = x[i, 1] - points[q, 1] - off[n, 1]
        dz = x[i, 2] - points[q, 2] - off[n, 2]
        near[n] = np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) > TOWARDS * far[n]
        for c in range(clear.shape[1]):
            near[n] |= clear[i, c] < close
    return near
