"""The bones of a shot from the skins of a glTF file, and the bind pose that all meshes share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.shot_meta import OBJECT_ROW

from .document import Document

Y_TO_Z = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
LEAF = 0.5  # length of a bone without children, in lengths of the one above it
SAME = 1e-3  # bind poses that differ by less are the same


@dataclass
class Skeleton:
    """Rows of bones under construction.

    Attributes:
        names, parents: of the rows.
        rest: (4,4) of each in the world, Z up; pose: (T,4,4) of each.
        of_joint: the row of a node that is a joint.
        binds: by skin, (4,4) from its mesh's space to the bind pose in the world, Z up; rows: of its joints.
    """

    names: list[str]
    parents: list[int]
    rest: list[np.ndarray]
    pose: list[np.ndarray]
    of_joint: dict[int, int]
    binds: list[np.ndarray]
    rows: list[np.ndarray]

    @classmethod
    def of(cls, document: Document, world: np.ndarray, still: np.ndarray) -> Skeleton:
        """From all skins; `world` (T,M,4,4) are the nodes in frames, `still` (M,4,4) as the file stands."""
        own = cls([], [], [], [], {}, [], [])
        above = dict(document.tree())
        for number, skin in enumerate(document.rows("skins")):
            joints = [int(joint) for joint in skin["joints"]]
            if not joints or not set(joints) <= set(above):
                raise ValueError(f"skin {number} has joints outside the scene")
            inverse = np.tile(np.eye(4), (len(joints), 1, 1))
            if "inverseBindMatrices" in skin:
                values = document.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4)
                inverse = values.transpose(0, 2, 1).astype(np.float64)[: len(joints)]
            if len(inverse) < len(joints) or np.abs(np.linalg.det(inverse[:, :3, :3])).min() < 1e-18:
                raise ValueError(f"skin {number} has bind matrices that cannot be")
            own._add(document, joints, inverse, above, world, still)
        return own

    def _add(
        self,
        document: Document,
        joints: list[int],
        inverse: np.ndarray,
        above: dict[int, int],
        world: np.ndarray,
        still: np.ndarray,
    ) -> None:
        """A skin: its bind pose is that of an earlier one as far as they share joints, else rows of its own."""
        bind = np.linalg.inv(inverse)
        shared = [k for k, joint in enumerate(joints) if joint in self.of_joint]
        places = [self.rest[self.of_joint[joints[k]]] @ np.linalg.inv(Y_TO_Z @ bind[k]) for k in shared]
        to_world = _common([Y_TO_Z @ still[joint] @ inverse[k] for k, joint in enumerate(joints)])
        if shared:
            moved = _common([place @ Y_TO_Z for place in places])
            apart = max(np.abs(moved @ bind[k] - self.rest[self.of_joint[joints[k]]]).max() for k in shared)
            reuse = apart < SAME * max(1.0, float(np.abs(moved @ bind).max()))
            to_world = moved if reuse else to_world
        else:
            reuse = True
        rows = []
        new: dict[int, int] = {}
        order = [node for node in above if node in set(joints)]
        for node in order:
            k = joints.index(node)
            if reuse and node in self.of_joint:
                new[node] = self.of_joint[node]
                continue
            parent = above[node]
            while parent >= 0 and parent not in new and parent not in self.of_joint:
                parent = above[parent]
            name = str(document.data["nodes"][node].get("name") or f"joint {node}")
            new[node] = self.add(
                name, new.get(parent, self.of_joint.get(parent, -1)), to_world @ bind[k], Y_TO_Z @ world[:, node]
            )
        rows = [new[joint] for joint in joints]
        self.of_joint = {**new, **self.of_joint}
        self.binds.append(to_world)
        self.rows.append(np.array(rows))

    def add(self, name: str, parent: int, rest: np.ndarray, pose: np.ndarray) -> int:
        """A row; its name gets a number where it is taken."""
        number, free = 1, name
        while free in self.names:
            number += 1
            free = f"{name} {number}"
        self.names.append(free)
        self.parents.append(parent)
        self.rest.append(rest)
        self.pose.append(pose)
        return len(self.names) - 1

    def turned(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rest (B,4,4), pose (T,B,4,4) and lengths (B,) with each bone's Y along it and no size at rest."""
        rest, pose = np.stack(self.rest), np.stack(self.pose, axis=1)
        parents = np.array(self.parents)
        lengths = np.full(len(rest), 0.1)
        turns = np.tile(np.eye(4), (len(rest), 1, 1))
        along = np.zeros((len(rest), 3))
        for row in range(len(rest)):
            if self.names[row].startswith(OBJECT_ROW):
                continue
            below = [int(b) for b in np.flatnonzero(parents == row) if not self.names[b].startswith(OBJECT_ROW)]
            ways = rest[below, :3, 3] - rest[row, :3, 3]
            sizes = np.linalg.norm(ways, axis=1)
            if len(ways) and sizes.max() > 1e-6:
                along[row], lengths[row] = ways[sizes.argmax()] / sizes.max(), sizes.max()
                if len(ways) > 1 and parents[row] >= 0:  # of several the one that goes on straight
                    ahead = along[parents[row]]
                    straight = int(((ways @ ahead) / np.maximum(sizes, 1e-6)).argmax())
                    along[row], lengths[row] = (
                        ways[straight] / max(float(sizes[straight]), 1e-6),
                        float(sizes[straight]),
                    )
            elif parents[row] >= 0 and along[parents[row]].any():
                along[row], lengths[row] = along[parents[row]], LEAF * float(lengths[parents[row]])
            else:
                along[row] = 0, 0, 1
            turns[row] = np.linalg.inv(rest[row]) @ _pointing(rest[row], along[row])
        return rest @ turns, pose @ turns, lengths


def _pointing(rest: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(4,4) at the head of `rest`, unscaled, Y along `along`, X as near as may be to its own X."""
    side = rest[:3, 0] - along * (rest[:3, 0] @ along)
    if np.linalg.norm(side) < 1e-3 * max(float(np.linalg.norm(rest[:3, 0])), 1e-12):
        side = np.cross(along, rest[:3, 2])
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3] = np.stack([side, along, np.cross(side, along), rest[:3, 3]], axis=1)
    return matrix


def _common(candidates: list[np.ndarray]) -> np.ndarray:
    """The matrix that most of them agree on; where a file stands in another pose than the bind pose few do."""
    stack = np.stack(candidates)
    size = max(1.0, float(np.abs(stack).max()))
    near = np.abs(stack[:, None] - stack[None]).max((2, 3)) < SAME * size
    return stack[near.sum(1).argmax()]
