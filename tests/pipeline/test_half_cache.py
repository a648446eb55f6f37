"""A result in half precision: the same meshes and places, and everything else within the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

SMALL = Settings.from_dict({"preset": "draft", "gaussians": 1500, "refine_steps": 4})


def test_only_the_digits_differ(tmp_path):
    shot = make_shot(4)
    exact = FrameCache.open(animate(shot, tmp_path, SMALL) / "synthetic.ani3d")
    kept = {t: {name: np.array(values) for name, values in exact.frame(t).items()} for t in range(1, 5)}
    meshes = {name: np.array(points.vertices) for name, points in exact.meshes().items()}
    size = sum(entry.bytes for entry in exact.manifest.attributes)
    half = FrameCache.open(animate(shot, tmp_path, SMALL.changed(cache="half")) / "synthetic.ani3d")
    assert sum(entry.bytes for entry in half.manifest.attributes) < 0.7 * size
    for t, wanted in kept.items():
        found = half.frame(t)
        assert np.array_equal(found["position"], wanted["position"])
        assert any(not np.array_equal(found[name], wanted[name]) for name in wanted)
        for name, values in wanted.items():
            assert np.allclose(found[name], values, rtol=2**-11, atol=1e-6), name
    assert all(np.array_equal(points.vertices, meshes[name]) for name, points in half.meshes().items())


def test_other_precisions_are_refused():
    with pytest.raises(Ani3DError, match="cache is 'quarter'"):
        Settings.from_dict({"cache": "quarter"})
