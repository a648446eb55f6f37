"""The hard set's judge: how deep cloth is."""

import numpy as np

from ani3dhuman.cloth.pins import pin_weights
from benchmarks.cloth.judge import Judge
from benchmarks.cloth.registry import dress, person
from benchmarks.cloth.shots import Worn, box, make_shot, solids, still

SIZE = 0.3  # metres of a box about a shin


def test_what_is_in_the_body_and_in_a_thing_is_as_deep_as_in_either():
    body, frames = person(), 1
    skirt = dress("knee_aline", "skirt")[0]
    shin = body.vertices[np.abs(body.vertices[:, 2] - 0.25).argmin()]
    low = shin - SIZE / 2
    thing = still("Box", [box(low, low + SIZE)], frames)
    rest = np.broadcast_to(body.skeleton.rest(), (frames, *body.skeleton.rest().shape))
    shot = make_shot("in_both", body, rest, [Worn(skirt)], props=[thing])
    judge = Judge(shot, pin_weights(shot))
    placed = np.array(shot["vertices"], np.float64)[None]
    free = np.flatnonzero(judge.free[: placed.shape[1]])
    below = free[placed[0, free, 2].argmin()]
    placed[0, below] = shin  # on the skin, and half a box deep in the box
    assert len(solids(shot)[0]) == 8

    verdict = judge.verdict(placed)

    deepest = max(verdict.depth_mm[0], verdict.excused_mm[0])
    np.testing.assert_allclose(deepest, 1000 * SIZE / 2, atol=1)
