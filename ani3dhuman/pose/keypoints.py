"""Keypoints of the human body, hands and face as points fixed to the bones of a rig: known, not estimated.

The layout is the one control models were trained on: OpenPose's 18 COCO body keypoints and 21 keypoints a hand. Left
and right are the character's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from .bone_names import FINGERS, SIDES, find_fingers, find_joints

BODY_KEYPOINTS = (
    "nose",
    "neck",
    *(f"right_{joint}" for joint in ("shoulder", "elbow", "wrist")),
    *(f"left_{joint}" for joint in ("shoulder", "elbow", "wrist")),
    *(f"right_{joint}" for joint in ("hip", "knee", "ankle")),
    *(f"left_{joint}" for joint in ("hip", "knee", "ankle")),
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
HAND_KEYPOINTS = ("wrist", *(f"{finger}{level}" for finger in FINGERS for level in (1, 2, 3, 4)))
KEYPOINTS = (*BODY_KEYPOINTS, *(f"{side}_hand_{name}" for side in SIDES for name in HAND_KEYPOINTS))
BODY, LEFT_HAND, RIGHT_HAND = slice(0, 18), slice(18, 39), slice(39, 60)
FACE_KEYPOINTS = (0, 14, 15, 16, 17)  # of the body: nose, eyes, ears
LANDMARK_COUNTS = (68, 70)  # of a face: iBUG's, and with both pupils

CORE = tuple(f"{side}_{joint}" for side in SIDES for joint in ("shoulder", "elbow", "hip", "knee"))

# Proportions of a face, measured on an average adult head (MakeHuman's): forward, up and outward.
# From the head joint, in lengths of the head bone, which reaches from the top of the neck to the crown:
FROM_HEAD = {"nose": (0.69, 0.00, 0.0), "eye": (0.48, 0.21, 0.17), "ear": (-0.04, 0.17, 0.49)}
# From the middle between the centres of the eyeballs, in distances of the eyes:
FROM_EYES = {"nose": (0.72, -0.60, 0.0), "eye": (0.15, 0.0, 0.5), "ear": (-1.40, -0.12, 1.42)}
HEAD_TO_TORSO = 0.37  # head bone over the distance from neck to hips
PLAUSIBLE_HEAD = (0.25, 0.5)  # the same ratio; outside, the head bone's tail lies anywhere and is not believed

NOMINAL_RADIUS = 0.09  # of a limb, in distances from neck to hips, where no vertex tells it
FACE_RADIUS = {"nose": 0.15, "eye": 0.15, "ear": 0.3}  # in lengths of the head bone; ears lie under hair

CustomMap = Mapping[str, "str | tuple[str, Literal['head', 'tail']] | None"]


@dataclass(frozen=True)
class KeypointMap:
    """Where the keypoints sit on a rig: each is the mean of two points fixed to bones (often twice the same one).

    Attributes:
        bones: (60,2) bone indices in the order of `KEYPOINTS`, -1 where a keypoint is missing.
        offsets: (60,2,3) the points in their bones' own frames, metres.
        radii: (60,) metres, how deep the keypoint lies in its limb.
        missing: names of keypoints that this rig does not give.
        is_human: whether shoulders, elbows, hips and knees are all there and the rest pose stands upright.
        forward: (3,) unit, the way the character faces in rest pose, world; Blender's front when unknown.
        landmarks: (68|70,) vertex indices of a face's landmarks, or (0,).
    """

    bones: np.ndarray
    offsets: np.ndarray
    radii: np.ndarray
    missing: tuple[str, ...]
    is_human: bool
    forward: np.ndarray
    landmarks: np.ndarray

    def positions(self, bone_pose: np.ndarray) -> np.ndarray:
        """Keypoints (60,3) in world metres for posed bones (B,4,4); NaN where missing."""
        matrices = bone_pose[np.maximum(self.bones, 0)]
        points = np.einsum("kaij,kaj->kai", matrices[..., :3, :3], self.offsets) + matrices[..., :3, 3]
        return np.where(self.bones[:, :1] >= 0, points.mean(1), np.nan)

    def describe(self) -> str:
        """One line for reports: what is drawn, and what is not and why."""
        if not self.is_human:
            return "the rig is not recognised as a human's: its bones are drawn as they are"
        absent = [name for name in self.missing if "_hand_" not in name]
        for side in SIDES:
            lost = sum(name.startswith(f"{side}_hand_") and not name.endswith("_wrist") for name in self.missing)
            absent += [f"{side} fingers" if lost == 20 else f"{lost} points of the {side} hand"] if lost else []
        absent += [] if len(self.landmarks) else ["face landmarks"]
        return f"drawn without {', '.join(absent)}, which the shot does not give" if absent else "complete"


def map_keypoints(shot: Shot, custom: CustomMap | None = None, landmarks: np.ndarray | None = None) -> KeypointMap:
    """Find the keypoints on a shot's rig by the names of its bones.

    The neck is the middle between the shoulders and no bone of its own, as pose estimators define it. Eyes and ears are
    the bones of that name; what is missing of nose, eyes and ears is placed by proportion from the eyes, else from the
    head bone (`FROM_EYES`, `FROM_HEAD`), turned the way the shoulders face in rest pose.

    Args:
        shot: names, rest pose and mesh.
        custom: keypoint (of `KEYPOINTS`) -> bone, whose head it is, or (bone, "head" | "tail"), or None to leave it
            out; goes before the names.
        landmarks: (68,) or (70,) vertex indices of face landmarks in iBUG's order, when the mesh's maker knows them.

    Returns:
        The map; `is_human` says whether it is worth drawing.

    Raises:
        Ani3DError: ``keypoints.unknown_keypoint``, ``keypoints.unknown_bone``, ``keypoints.landmarks``.
    """
    bones_only = set(shot.meta.skeleton)
    names = [name if row in bones_only else "" for row, name in enumerate(shot.meta.bones)]
    rig = _Rig(shot["bone_rest"].astype(np.float64), shot["bone_lengths"].astype(np.float64))
    joints = find_joints(names)
    for name in BODY_KEYPOINTS[2:14]:
        if name in joints:
            rig.attach(name, joints[name])
    _attach_hands(rig, names, joints)
    chosen = _read_custom(custom or {}, names)
    rig.overrule({name: place for name, place in chosen.items() if name not in BODY_KEYPOINTS[:2]})
    shoulders = [f"{side}_shoulder" for side in SIDES]
    if all(name in rig.anchors for name in shoulders):
        rig.anchors["neck"] = rig.anchors[shoulders[0]][:1] + rig.anchors[shoulders[1]][:1]
    elif "neck" in joints:
        rig.attach("neck", joints["neck"])
    rig.overrule({"neck": chosen["neck"]} if "neck" in chosen else {})
    complete = all(name in rig.anchors for name in CORE)
    up, forward, torso = _frame(rig) if complete else (np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), 0.5)
    scale = _attach_face(rig, joints, up, forward, torso) if complete else torso * HEAD_TO_TORSO
    rig.overrule({name: chosen[name] for name in ("nose", *BODY_KEYPOINTS[14:]) if name in chosen})
    bones, offsets = np.full((len(KEYPOINTS), 2), -1), np.zeros((len(KEYPOINTS), 2, 3))
    for name, anchors in rig.anchors.items():
        for a, (bone, offset) in enumerate((anchors * 2)[:2]):
            bones[KEYPOINTS.index(name), a], offsets[KEYPOINTS.index(name), a] = bone, offset
    return KeypointMap(
        bones,
        offsets,
        _radii(shot, bones, torso, scale),
        tuple(name for name in KEYPOINTS if name not in rig.anchors),
        complete and bool(custom or up[2] > 0.7),  # an animal's spine lies level, whatever its bones are called
        forward,
        _check_landmarks(landmarks, len(shot["vertices"])),
    )


class _Rig:
    """Bones in rest pose, and the anchors found so far: keypoint -> ((bone, offset (3,)), ...)."""

    def __init__(self, rest: np.ndarray, lengths: np.ndarray) -> None:
        self.rest, self.lengths = rest, lengths
        self.anchors: dict[str, tuple[tuple[int, np.ndarray], ...]] = {}

    def attach(self, name: str, bone: int, end: str = "head") -> None:
        """Put a keypoint at the head or tail of a bone."""
        along = self.lengths[bone] / np.linalg.norm(self.rest[bone][:3, 1]) if end == "tail" else 0.0
        self.anchors[name] = ((bone, np.array([0, along, 0])),)

    def attach_at(self, name: str, bone: int, point: np.ndarray) -> None:
        """Put a keypoint at a world point (3,) of the rest pose, moving with a bone."""
        self.anchors[name] = ((bone, (np.linalg.inv(self.rest[bone]) @ np.append(point, 1.0))[:3]),)

    def overrule(self, chosen: Mapping[str, tuple[int, str] | None]) -> None:
        """Let the user's choices replace what was found."""
        for name, place in chosen.items():
            if place is None:
                self.anchors.pop(name, None)
            else:
                self.attach(name, *place)

    def point(self, *names: str) -> np.ndarray:
        """The mean (3,) of keypoints in rest pose, world."""
        anchors = [anchor for name in names for anchor in self.anchors[name]]
        return np.mean([(self.rest[bone] @ np.append(offset, 1.0))[:3] for bone, offset in anchors], axis=0)


def _read_custom(custom: CustomMap, names: list[str]) -> dict[str, tuple[int, str] | None]:
    chosen: dict[str, tuple[int, str] | None] = {}
    for name, place in custom.items():
        if name not in KEYPOINTS:
            raise Ani3DError(
                "keypoints.unknown_keypoint",
                f"The keypoint map names '{name}', which is no keypoint.",
                f"Keypoints are {', '.join(BODY_KEYPOINTS)}, and left_hand_wrist, left_hand_thumb1 and so on.",
            )
        bone, end = (place, "head") if isinstance(place, str) or place is None else place
        if bone is not None and (not bone or bone not in names or end not in ("head", "tail")):
            raise Ani3DError(
                "keypoints.unknown_bone",
                f"The keypoint map puts '{name}' at the {end} of '{bone}', and the rig has no such place.",
                f"Its deforming bones are {', '.join([name for name in names if name][:40])}.",
            )
        chosen[name] = None if bone is None else (names.index(bone), end)
    return chosen


def _attach_hands(rig: _Rig, names: list[str], joints: dict[str, int]) -> None:
    """Finger joints are heads of phalanges; the tip is the last one's tail, or the head of a fourth bone."""
    for (side, finger), chain in find_fingers(names).items():
        for level, bone in enumerate(chain, start=1):
            rig.attach(f"{side}_hand_{finger}{level}", bone)
        if len(chain) == 3:
            rig.attach(f"{side}_hand_{finger}4", chain[2], "tail")
    for side in SIDES:
        if f"{side}_wrist" in joints:
            rig.attach(f"{side}_hand_wrist", joints[f"{side}_wrist"])


def _frame(rig: _Rig) -> tuple[np.ndarray, np.ndarray, float]:
    """Up along the torso, the way the character faces (unit, world), and the distance from neck to hips, metres."""
    spine = rig.point("left_shoulder", "right_shoulder") - rig.point("left_hip", "right_hip")
    torso = max(float(np.linalg.norm(spine)), 1e-6)
    up = spine / torso
    forward = np.cross(rig.point("left_shoulder") - rig.point("right_shoulder"), up)
    return up, forward / max(float(np.linalg.norm(forward)), 1e-12), torso


def _attach_face(rig: _Rig, joints: dict[str, int], up: np.ndarray, forward: np.ndarray, torso: float) -> float:
    """Nose, eyes and ears, fixed to the head bone; returns the length of the head in metres."""
    if "head" not in joints:
        return torso * HEAD_TO_TORSO
    head = joints["head"]
    along = rig.rest[head][:3, 1] / max(float(np.linalg.norm(rig.rest[head][:3, 1])), 1e-12)
    plausible = PLAUSIBLE_HEAD[0] <= rig.lengths[head] / torso <= PLAUSIBLE_HEAD[1] and along @ up > 0.8
    length = float(rig.lengths[head]) if plausible else torso * HEAD_TO_TORSO
    left = np.cross(along if plausible else up, forward)
    left /= max(float(np.linalg.norm(left)), 1e-12)
    ahead = np.cross(left, along if plausible else up)
    axes = np.stack([ahead, np.cross(ahead, left), left])
    origin, unit, table = rig.rest[head][:3, 3], length, FROM_HEAD
    eyes = [rig.rest[joints[f"{side}_eye"]][:3, 3] for side in SIDES if f"{side}_eye" in joints]
    if len(eyes) == 2:
        origin, unit, table = (eyes[0] + eyes[1]) / 2, float(np.linalg.norm(eyes[0] - eyes[1])), FROM_EYES
    for part, (ahead_by, up_by, out_by) in table.items():
        for side, sign in (("", 0.0),) if part == "nose" else (("left_", 1.0), ("right_", -1.0)):
            name = f"{side}{part}"
            point = origin + unit * (np.array([ahead_by, up_by, sign * out_by]) @ axes)
            if part == "ear" and name in joints:
                point = rig.rest[joints[name]][:3, 3]
            rig.attach_at(name, head, point)
    return length


def _radii(shot: Shot, bones: np.ndarray, torso: float, head: float) -> np.ndarray:
    """(60,) how thick the limb is around each keypoint: skin's distance from the bone's axis near its head, metres.

    Skin is what a bone moves most; garment and hair do not count. Face and fingers have nominal radii: the face's
    keypoints lie on the surface, and a finger is thin.
    """
    radii = np.full(len(KEYPOINTS), NOMINAL_RADIUS * torso)
    radii[LEFT_HAND] = radii[RIGHT_HAND] = 0.5 * NOMINAL_RADIUS * torso
    for k in FACE_KEYPOINTS:
        radii[k] = FACE_RADIUS[KEYPOINTS[k].split("_")[-1]] * head
    strongest = np.take_along_axis(shot["weight_indices"], shot["weight_values"].argmax(1)[:, None], 1)[:, 0]
    skin = ~is_loose(shot["region_ids"])
    for k in range(2, 14):
        bone = int(bones[k, 0])
        own = shot["vertices"][skin & (strongest == bone)] if bone >= 0 else np.zeros((0, 3), np.float32)
        axes = shot["bone_rest"][bone][:3, :3]
        local = (own - shot["bone_rest"][bone][:3, 3]) @ (axes / np.linalg.norm(axes, axis=0))
        near = np.abs(local[:, 1]) < 0.3 * shot["bone_lengths"][bone]
        if near.sum() >= 8:
            around = np.hypot(local[near, 0], local[near, 2])
            radii[k] = np.clip(np.percentile(around, 80), 0.3 * radii[k], 3 * radii[k])
    return radii


def _check_landmarks(landmarks: np.ndarray | None, vertices: int) -> np.ndarray:
    if landmarks is None:
        return np.zeros(0, np.int64)
    indices = np.asarray(landmarks)
    valid = indices.shape in [(n,) for n in LANDMARK_COUNTS] and indices.dtype.kind in "iu"
    if not valid or indices.min() < 0 or indices.max() >= vertices:
        raise Ani3DError(
            "keypoints.landmarks",
            f"Face landmarks are {indices.dtype} {indices.shape}, expected 68 or 70 vertex indices below {vertices}.",
            "Give one vertex a landmark in iBUG's order, or none.",
        )
    return indices.astype(np.int64)
