"""The coarse layer that Blender made: taken as it is, under its own key, with body and face off the skeleton too."""

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_arrays, make_shot, result_of

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

FRAMES = 6
SMALL = Settings.from_dict(
    {"preset": "draft", "gaussians": 2500, "refine_steps": 12, "refine_height": 96, "coarse": "evaluated"}
)
BARE = Settings.from_dict({**SMALL.to_dict(), "prior": "none", "refine_steps": 0})


def evaluated_shot(bulge: float = 0.03, frames: int = FRAMES) -> Shot:
    """The small character whose belly swells and whose skirt swings, as if by shape keys and Blender's cloth."""
    shot = make_shot(frames, width=96, height=160)
    vertices = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    bind = shot["vertices"]
    phase = np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    belly = np.where(shot["region_ids"] < 2, np.exp(-(((bind[:, 2] - 1.1) / 0.3) ** 2)), 0)
    vertices[..., 1] -= bulge * phase * belly
    hang = np.where(shot["region_ids"] == 3, np.clip(1.1 - bind[:, 2], 0, 1), 0)
    vertices[..., 0] += 0.1 * np.sin(4 * phase) * hang
    return replace(shot, arrays={**shot.arrays, "evaluated_vertices": vertices.astype(np.float32)})


@pytest.fixture(scope="module")
def shot():
    return evaluated_shot()


@pytest.fixture(scope="module")
def out(shot, tmp_path_factory):
    return animate(shot, tmp_path_factory.mktemp("job"), SMALL)


def reused(out) -> set[str]:
    return set(json.loads((out / "report.json").read_text())["reused"])


def test_restoration_and_refinement_leave_body_and_face_where_blender_has_them(out, shot):
    held = shot["region_ids"] < 2
    np.testing.assert_array_equal(result_of(out)[:, held], shot["evaluated_vertices"][:, held])
    report = json.loads((out / "report.json").read_text())
    assert report["hem_amplitude_cm"]["coarse"] != report["hem_amplitude_cm"]["rigid"]


def test_without_prior_and_refinement_it_comes_back_unchanged(shot, tmp_path):
    np.testing.assert_array_equal(result_of(animate(shot, tmp_path, BARE)), shot["evaluated_vertices"])


def test_repair_goes_back_to_cloth_on_the_skeleton(shot, out, tmp_path):
    faulty = evaluated_shot()
    loose = np.flatnonzero(shot["region_ids"] == 3)
    faulty["evaluated_vertices"][:, loose] += 0.5 * np.random.default_rng(0).normal(size=(FRAMES, len(loose), 3))
    repaired = result_of(animate(faulty, tmp_path / "repaired", SMALL.changed(repair=True)))
    physics = result_of(animate(shot, tmp_path / "physics", BARE.changed(coarse="physics")))
    assert np.linalg.norm(repaired - physics, axis=2).max() < 0.1
    kept = result_of(animate(faulty, tmp_path / "kept", SMALL))
    assert np.linalg.norm(kept - physics, axis=2).max() > 0.3
    with pytest.raises(Ani3DError, match="repair"):
        BARE.changed(repair=True)


def test_another_evaluated_mesh_is_another_coarse_layer_and_nothing_else(shot, tmp_path):
    animate(shot, tmp_path, BARE)
    animate(evaluated_shot(bulge=0.05), tmp_path, BARE)
    assert reused(tmp_path) == {"avatar", "rigid", "render_rigid"}
    rigid = BARE.changed(coarse="rigid")
    animate(shot, tmp_path, rigid)
    animate(evaluated_shot(bulge=0.05), tmp_path, rigid)
    assert {"avatar", "rigid", "cloth", "render_coarse", "restore"} <= reused(tmp_path), "rigid does not look at it"


def test_a_shot_without_gives_one_clear_error_before_any_work(tmp_path, capsys):
    plain = make_shot(FRAMES, width=96, height=160)
    with pytest.raises(Ani3DError) as caught:
        animate(plain, tmp_path / "out", SMALL)
    assert caught.value.code == "shot.not_evaluated"
    assert not list((tmp_path / "out").rglob("*.npy"))
    plain.save(tmp_path / "shot.npz")
    command = ["animate", str(tmp_path / "shot.npz"), "-o", str(tmp_path / "cli"), "--coarse", "evaluated"]
    assert cli.main(command) == 1
    assert "Set Coarse to Evaluated mesh in Blender and export the shot again" in capsys.readouterr().err


def test_the_array_is_checked_where_it_enters(shot, tmp_path):
    shot.save(tmp_path / "shot.npz")
    np.testing.assert_array_equal(Shot.load(tmp_path / "shot.npz")["evaluated_vertices"], shot["evaluated_vertices"])
    good = shot["evaluated_vertices"]
    broken = good.copy()
    broken[2, 5, 1] = np.inf
    faults = (
        ("bad_array", good[:-1]), ("bad_array", good[:, 1:]), ("bad_array", good.astype(np.int32)),
        ("not_finite", broken),
    )  # fmt: skip
    for code, array in faults:
        with pytest.raises(Ani3DError, match="evaluated_vertices") as caught:
            Shot.from_arrays({**make_arrays(FRAMES), "evaluated_vertices": array})
        assert caught.value.code == f"shot.{code}"
