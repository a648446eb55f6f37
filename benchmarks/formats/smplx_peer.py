"""Bodies of full size, random in everything but their layout, beside what the package `smplx` makes of them.

`python -m benchmarks.formats.smplx_peer FOLDER` prints the largest distance of a vertex of each family, in metres. The
package's licence allows no commercial use, so no environment of ours has it: the bench lays it into a folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from ani3dhuman.bodies.model import BodyModel
from ani3dhuman.motions.smpl import joint_parents, rest_joints

PACKAGE = "smplx==0.1.28"
FULL = {"SMPL": (24, 6890, 10), "SMPL-H": (52, 6890, 16), "SMPL-X": (55, 10475, 400)}  # joints, vertices, shapes


def write_model(path: Path, joints: int = 55, count: int = 120, shapes: int = 400, seed: int = 0) -> Path:
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
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def apart(folder: Path, kind: str) -> float:
    """Metres between the vertices of ours and the package's that are furthest apart, of one pose of a family."""
    import smplx
    import torch

    joints, count, shapes = FULL[kind]
    path = write_model(folder / "model.npz", joints, count, shapes)
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
    return float(np.abs(found - expected).max())


def parity(folder: Path) -> dict[str, float]:
    """The largest distance of a vertex, metres, in a process that has the package; nothing where it cannot be had."""
    packages = folder / "smplx"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), PACKAGE]
    try:
        if not packages.is_dir():
            subprocess.run(pip, check=True, capture_output=True, timeout=300)
        command = [sys.executable, "-m", "benchmarks.formats.smplx_peer", str(folder)]
        paths = {"PYTHONPATH": os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **paths})
    except subprocess.SubprocessError as error:
        print(f"smplx was not asked: {error}")
        return {}
    return {"smplx_max_m": max(json.loads(done.stdout.splitlines()[-1]).values())}


if __name__ == "__main__":
    print(json.dumps({kind: apart(Path(sys.argv[1]), kind) for kind in FULL}))
