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
from ani3dhuman.motions.smpl import joint_names, joint_parents, rest_joints

FULL = {"SMPL": (24, 6890, 10), "SMPL-H": (52, 6890, 16), "SMPL-X": (55, 10475, 400)}


def write_model(path, joints=55, count=120, shapes=400, seed=0):
    """A file as the models have it: vertices about their joints, everything else at random, and one pickled entry."""
    rng = np.random.default_rng(seed)
    owner = np.arange(count) % joints
    places = rest_joints(joints)
    template = places[owner] + rng.normal(0, 0.03, (count, 3))
    weights = np.zeros((count, joints))
    weights[np.arange(count), owner] = 0.7
    weights[np.arange(count), np.maximum(joint_parents(joints)[owner], 0)] += 0.3
    regressor = np.zeros((joints, count))
    for j in range(joints):
        own = np.flatnonzero(owner == j)
        regressor[j, own] = 1 / len(own)
    parents = joint_parents(joints)
    arrays = {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.01, (count, 3, shapes)),
        "posedirs": rng.normal(0, 0.005, (count, 3, 9 * (joints - 1))),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.stack([np.r_[2**32 - 1, parents[1:]], np.arange(joints)]).astype(np.uint32),
        "f": rng.integers(0, count, (2 * count, 3)).astype(np.uint32),
        "hands_meanl": rng.normal(0, 0.1, 45), "hands_meanr": rng.normal(0, 0.1, 45),
        "hands_componentsl": rng.normal(0, 1, (45, 45)), "hands_componentsr": rng.normal(0, 1, (45, 45)),
        "lmk_faces_idx": np.zeros(51, np.int64), "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "part2num": np.array({"pelvis": 0}, object),
    }  # fmt: skip
    np.savez(path, **arrays)
    return path


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
    smplx = pytest.importorskip("smplx", reason="the user's own package, of a non-commercial licence")
    torch = pytest.importorskip("torch")
    joints, count, shapes = FULL[kind]
    path = write_model(tmp_path / "model.npz", joints, count, shapes)
    model = BodyModel.load(path)
    rng = np.random.default_rng(2)
    pose, betas, trans = rng.normal(0, 0.4, (1, joints, 3)), rng.normal(size=10), rng.normal(size=(1, 3))
    parts = {"global_orient": pose[:, 0], "transl": trans, "betas": betas[None]}
    options = {"model_path": str(path), "ext": "npz", "num_betas": 10}
    expression = None
    if kind == "SMPL":
        theirs = smplx.SMPL(**options, data_struct=smplx.utils.Struct(**dict(np.load(path, allow_pickle=True))))
        parts["body_pose"] = pose[:, 1:].reshape(1, -1)
    else:
        make = smplx.SMPLX if kind == "SMPL-X" else smplx.SMPLH
        theirs = make(**options, use_pca=False, flat_hand_mean=True, num_expression_coeffs=10)
        parts |= {"body_pose": pose[:, 1:22].reshape(1, -1)}
        parts |= {
            f"{side}_hand_pose": pose[:, joints - n : joints - n + 15].reshape(1, -1)
            for side, n in (("left", 30), ("right", 15))
        }
    if kind == "SMPL-X":
        expression = rng.normal(size=10)
        parts |= {
            "jaw_pose": pose[:, 22],
            "leye_pose": pose[:, 23],
            "reye_pose": pose[:, 24],
            "expression": expression[None],
        }
    given = {name: torch.tensor(value, dtype=torch.float32) for name, value in parts.items()}
    expected = theirs(**given).vertices.detach().numpy()
    found = model.posed(pose, betas, expression, trans)
    np.testing.assert_allclose(found, expected, atol=1e-5)


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
