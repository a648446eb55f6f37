"""SMPL, SMPL-H and SMPL-X from the user's own `.npz`: shape, pose, hands, expression and pose correctives.

Published formulas (Loper et al. 2015, Romero et al. 2017, Pavlakos et al. 2019) on NumPy. The files have licences of
their own, most of them for research only; nothing of them is part of this program.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.errors import Ani3DError
from ani3d_formats.npz import read_npz
from ani3d_formats.skinning import skin

KINDS = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X"}
SHAPES, EXPRESSIONS = 300, 100  # of a whole SMPL-X file, in this order
FEW = 10  # shapes of a small SMPL-X file, before as many expressions
ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


@dataclass(frozen=True)
class BodyModel:
    """A body of V vertices and J joints, Y up, metres.

    Attributes:
        kind: of `KINDS`.
        template: (V,3); faces: (F,3); parents: (J,); weights: (V,J), rows sum to 1.
        shapes: (V,3,S), expressions: (V,3,E) displacements for a coefficient of 1.
        correctives: (V,3,9(J-1)) displacements for the joints' rotation matrices less the identity.
        regressor: (J,V), joints from vertices.
        hand_means: (2,45) axis angles, left and right, or zeros; hand_components: (2,45,45), or none.
        uvs: (F,3,2), v upwards, or zeros.
    """

    kind: str
    template: np.ndarray
    faces: np.ndarray
    parents: np.ndarray
    weights: np.ndarray
    shapes: np.ndarray
    expressions: np.ndarray
    correctives: np.ndarray
    regressor: np.ndarray
    hand_means: np.ndarray
    hand_components: np.ndarray | None
    uvs: np.ndarray

    @classmethod
    def load(cls, path: Path) -> BodyModel:
        """Read a model's `.npz`; entries that need a pickle are skipped, never read.

        Raises:
            Ani3DError: ``body.file``: it cannot be read or is no model.
        """
        try:
            return cls._of(read_npz(path, skip_objects=True))
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise Ani3DError(
                "body.file",
                f"{path} is no body model ({what}).",
                "Give the .npz of SMPL, SMPL-H or SMPL-X; a .pkl has to be converted by its makers' tools first.",
            ) from error

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> BodyModel:
        template, shapes, correctives, regressor, weights, kintree, faces = (arrays[name] for name in ARRAYS)
        count, joints = len(template), kintree.shape[1]
        kind = KINDS.get(joints)
        if kind is None:
            raise ValueError(f"it has {joints} joints; {', '.join(map(str, KINDS))} are known")
        shapes, correctives = shapes.reshape(count, 3, -1), correctives.reshape(count, 3, -1)
        wanted = {"posedirs": correctives.shape[2] == 9 * (joints - 1), "weights": weights.shape == (count, joints)}
        wanted |= {"J_regressor": regressor.shape == (joints, count), "f": faces.ndim == 2 and faces.shape[1] == 3}
        wrong = [name for name, fits in wanted.items() if not fits]
        parents = kintree[0].astype(np.int64)
        parents[0] = -1
        if wrong or not 0 <= faces.min() <= faces.max() < count or not (parents < np.arange(joints)).all():
            raise ValueError(f"its arrays do not belong together: {', '.join(wrong) or 'f, kintree_table'}")
        split = shapes.shape[2]
        if kind == "SMPL-X":
            split = SHAPES if split >= SHAPES + EXPRESSIONS else min(FEW, split)
        means = [arrays[f"hands_mean{side}"] if f"hands_mean{side}" in arrays else np.zeros(45) for side in "lr"]
        parts = [arrays[f"hands_components{side}"] for side in "lr" if f"hands_components{side}" in arrays]
        uvs = np.zeros((len(faces), 3, 2))
        if "vt" in arrays and "ft" in arrays and arrays["ft"].shape == faces.shape:
            uvs = arrays["vt"][arrays["ft"].astype(np.int64)]
        wide = np.float64
        return cls(
            kind, template.astype(wide), faces.astype(np.int64), parents, weights.astype(wide),
            shapes[..., :split].astype(wide), shapes[..., split:].astype(wide), correctives.astype(wide),
            regressor.astype(wide), np.stack(means).astype(wide), np.stack(parts) if len(parts) == 2 else None, uvs,
        )  # fmt: skip

    @property
    def joints(self) -> int:
        return len(self.parents)

    def hands(self, left: np.ndarray, right: np.ndarray, mean: bool = True) -> np.ndarray:
        """Axis angles (30,3) of both hands from the first n of their components, (n,) each, added to the mean pose."""
        if self.hand_components is None:
            raise Ani3DError("body.hands", f"This {self.kind} file has no components of hands.", "Give axis angles.")
        poses = [
            given @ parts[: len(given)] + mean * middle
            for given, parts, middle in zip((left, right), self.hand_components, self.hand_means, strict=True)
        ]
        return np.concatenate(poses).reshape(30, 3)

    def shaped(self, betas: np.ndarray, expression: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V,3) and joints (J,3) at rest, for the first coefficients of shape and expression."""
        for given, there in ((betas, self.shapes), (expression, self.expressions)):
            if given is not None and len(given) > there.shape[2]:
                raise Ani3DError("body.shape", f"The file has {there.shape[2]} coefficients, {len(given)} were given.")
        vertices = self.template + self.shapes[..., : len(betas)] @ betas
        if expression is not None and len(expression):
            vertices = vertices + self.expressions[..., : len(expression)] @ expression
        return vertices, self.regressor @ vertices

    def transforms(self, joints: np.ndarray, pose: np.ndarray, trans: np.ndarray) -> np.ndarray:
        """(T,J,4,4) from rest to the world, for axis angles (T,J,3) and translations (T,3)."""
        turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape[:2], 3, 3)
        world = np.tile(np.eye(4), (*pose.shape[:2], 1, 1))
        for j, parent in enumerate(self.parents):
            world[:, j, :3, :3] = turns[:, j] if parent < 0 else world[:, parent, :3, :3] @ turns[:, j]
            if parent < 0:
                place = joints[j] + trans
            else:
                place = np.einsum("tij,j->ti", world[:, parent, :3, :3], joints[j]) + world[:, parent, :3, 3]
            world[:, j, :3, 3] = place - np.einsum("tij,j->ti", world[:, j, :3, :3], joints[j])
        return world

    def posed(
        self,
        pose: np.ndarray,
        betas: np.ndarray,
        expression: np.ndarray | None = None,
        trans: np.ndarray | None = None,
    ) -> np.ndarray:
        """Vertices (T,V,3) float32 with pose correctives.

        Args:
            pose: (T,J,3) axis angles in the model's order of joints, the first turns the whole body.
            betas: (S',) of shape.
            expression: (E',) or (T,E') of SMPL-X.
            trans: (T,3) metres.
        """
        frames = len(pose)
        moved = np.zeros((frames, 3)) if trans is None else trans
        still = expression is None or np.ndim(expression) == 1
        shared = self.shaped(betas, expression) if still else None
        turns = Rotation.from_rotvec(pose[:, 1:].reshape(-1, 3)).as_matrix().reshape(frames, -1, 3, 3)
        features = (turns - np.eye(3)).reshape(frames, -1)
        found = np.empty((frames, len(self.template), 3), np.float32)
        indices, values = sparse_weights(self.weights)
        for t in range(frames):
            rest, joints = shared if shared is not None else self.shaped(betas, expression[t])  # type: ignore[index]
            vertices = rest + self.correctives @ features[t]
            transforms = self.transforms(joints, pose[t : t + 1], moved[t : t + 1])
            found[t] = skin(vertices, indices, values, transforms)[0]
        return found


def sparse_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones and weights (V,K) of all influences above zero, the strongest first."""
    count = max(int((weights > 0).sum(1).max()), 1)
    indices = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(weights, indices, 1)
    return indices, values / values.sum(1, keepdims=True)
