"""Bodies of the SMPL family on files of the real layout filled with numbers of our own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman import cli
from ani3dhuman.bodies.model import BodyModel
from ani3dhuman.motions.smpl import joint_names, joint_parents
from benchmarks.formats.smplx_peer import FULL, apart, write_model


def test_shape_expression_correctives_and_joints_add_up(tmp_path):
    model = BodyModel.load(write_model(tmp_path / "m.npz"))
    assert model.kind == "SMPL-X" and model.shapes.shape[2] == 300 and model.expressions.shape[2] == 100
    rng = np.random.default_rng(1)
    betas, expression = rng.normal(size=10), rng.normal(size=5)
    pose, trans = rng.normal(0, 0.5, (2, 55, 3)), rng.normal(size=(2, 3))
    found = model.posed(pose, betas, expression, trans)
    with np.load(tmp_path / "m.npz", allow_pickle=True) as file:
        arrays = {name: file[name] for name in file.files if name != "part2num"}
    rest = arrays["v_template"] + arrays["shapedirs"][..., :10] @ betas + arrays["shapedirs"][..., 300:305] @ expression
    joints = arrays["J_regressor"] @ rest
    turns = Rotation.from_rotvec(pose[1]).as_matrix()
    bulged = rest + arrays["posedirs"] @ (turns[1:] - np.eye(3)).reshape(-1)
    world: list[np.ndarray] = []
    for j, parent in enumerate(joint_parents(55)):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = turns[j], joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    expected = np.zeros_like(rest)
    for j, matrix in enumerate(world):
        away = (bulged - joints[j]) @ matrix[:3, :3].T + matrix[:3, 3]
        expected += arrays["weights"][:, j, None] * away
    np.testing.assert_allclose(found[1], expected + trans[1], atol=2e-6)


@pytest.mark.parametrize("kind", FULL)
def test_full_size_models_give_what_the_package_gives(tmp_path, kind):
    pytest.importorskip("smplx", reason="the user's own package, of a non-commercial licence")
    assert apart(tmp_path, kind) < 1e-5


def test_hands_come_from_their_components(tmp_path):
    model = BodyModel.load(write_model(tmp_path / "m.npz"))
    left, right = np.array([1.0, 2.0]), np.array([0.5])
    poses = model.hands(left, right)
    assert model.hand_components is not None
    np.testing.assert_allclose(poses[:15].reshape(-1), model.hand_means[0] + left @ model.hand_components[0][:2])
    np.testing.assert_allclose(model.hands(left, right, mean=False)[15:].reshape(-1), 0.5 * model.hand_components[1][0])


def test_the_command_makes_a_shot_whose_bones_and_vertices_agree(tmp_path, capsys):
    model = write_model(tmp_path / "m.npz", 52, 156, 16)
    poses = np.zeros((3, 52, 3))
    poses[:, 0, 0] = np.pi / 2
    poses[1:, joint_names(52).index("left_elbow"), 1] = -0.8
    trans = np.array([[0, 0, 1], [0, -0.1, 1], [0, -0.2, 1.0]])
    np.savez(tmp_path / "amass.npz", poses=poses.reshape(3, -1), trans=trans, mocap_framerate=24.0, betas=np.ones(16))
    command = [
        "import",
        str(tmp_path / "m.npz"),
        "-o",
        str(tmp_path / "body.npz"),
        "--motion",
        str(tmp_path / "amass.npz"),
    ]
    assert cli.main(command) == 0
    assert "SMPL-H" in capsys.readouterr().out
    shot = Shot.load(tmp_path / "body.npz")
    skinned = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    plain = BodyModel.load(model)
    still = plain.shaped(np.ones(16))[0]
    np.testing.assert_allclose(shot["vertices"], still @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), atol=1e-6)
    apart = np.abs(skinned - shot["evaluated_vertices"]).max((1, 2))
    assert apart[0] < 1e-5 < 1e-3 < apart[1]  # the correctives of the elbow
    assert shot.meta.fps == 24 and shot.frames == 3
    assert cli.main([*command, "--betas=1,x"]) == 1


def test_files_that_are_no_model_are_told(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK")
    np.savez(tmp_path / "b.npz", v_template=np.zeros((3, 3)))
    for name in ("a.npz", "b.npz", "none.npz"):
        with pytest.raises(Ani3DError) as caught:
            BodyModel.load(tmp_path / name)
        assert caught.value.code == "body.file" and caught.value.hint
    model = BodyModel.load(write_model(tmp_path / "m.npz", 24, 30, 10))
    with pytest.raises(Ani3DError, match="10 coefficients"):
        model.shaped(np.zeros(11))
