"""What a bone is called in the rigs people use, and which joint of the human body its head is.

Names are taken apart into words, side and numbers, so that `mixamorig:LeftForeArm`, `DEF-forearm.L`, `lowerarm01.L`,
`J_Bip_L_LowerArm`, `forearm_stretch.l`, `lowerarm_l` and `left_elbow` all say the same. Known schemes: Mixamo, Rigify,
MakeHuman (default and game rigs), VRM and Unity humanoid, VRoid, SMPL and SMPL-X, Auto-Rig Pro, Unreal, 3ds Max Biped,
Daz Genesis, MB-Lab, Character Creator, Source, Godot's humanoid; also with Sketchfab's serial numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SIDES = ("left", "right")
SERIALS = 0.9  # share of a rig's bones from which on numbers at their ends are serial numbers
FINGERS = ("thumb", "index", "middle", "ring", "little")

# joint -> names of the bone whose head it is, the most telling first: a bone called "shoulder" is a collar bone in most
# rigs and the joint itself only where no upper arm is named (SMPL); Auto-Rig Pro's twist bone starts at the joint, its
# stretch bone half way down the limb
SIDED_JOINTS: dict[str, tuple[str, ...]] = {
    "shoulder": ("upperarm", "uparm", "arm", "armtwist", "armstretch", "shldrbend", "shldr", "shoulder"),
    "elbow": ("lowerarm", "loarm", "forearm", "forearmstretch", "forearmbend", "elbow"),
    "wrist": ("wrist", "hand"),
    "hip": ("upperleg", "upleg", "thigh", "thightwist", "thighstretch", "thighbend", "hip"),
    "knee": ("lowerleg", "loleg", "shin", "calf", "leg", "legstretch", "knee"),
    "ankle": ("ankle", "foot"),
    "eye": ("eye", "faceeye"),
    "ear": ("ear",),
}
CENTRAL_JOINTS: dict[str, tuple[str, ...]] = {"neck": ("neck",), "head": ("head",)}

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_DECORATION = {
    "def",
    "mixamorig",
    "j",
    "bip",
    "adj",
    "bind",
    "c",
    "x",
    "smplhf",
    "b",
    "cc",
    "base",
    "valve",
    "biped",
}  # says who made the rig, not what it is
_SIDE_WORDS = {"l": "left", "left": "left", "r": "right", "right": "right"}
_FINGER_WORDS = {"mid": "middle", "pinky": "little", **{name: name for name in FINGERS}}
_FINGER_COMPANY = {"hand", "f", "finger", "proximal", "intermediate", "distal", "metacarpal"}
_PHALANX_WORDS = {"metacarpal": 0, "proximal": 1, "intermediate": 2, "distal": 3}


@dataclass(frozen=True)
class BoneName:
    """A bone's name taken apart: its `words` in order, lower case, without side and decoration; side; numbers."""

    words: tuple[str, ...]
    side: str | None
    numbers: tuple[int, ...]

    @property
    def stem(self) -> str:
        return "".join(self.words)


def parse_bone_name(name: str) -> BoneName:
    """Take a bone's name apart, e.g. ``DEF-f_index.01.L`` into words f, index; side left; numbers 1."""
    words: list[str] = []
    numbers: list[int] = []
    side = None
    previous = ""
    for token in _WORD.findall(name.rsplit(":", 1)[-1]):
        word = token.lower()
        if word.isdigit():
            if previous != "bip":  # Bip01 is a prefix of 3ds Max
                numbers.append(int(word))
        elif word in _SIDE_WORDS and side is None:
            side = _SIDE_WORDS[word]
        elif word not in _DECORATION:
            glued = next((s for s in SIDES if word.startswith(s)), None) if side is None else None
            side, word = (glued, word[len(glued) :]) if glued else (side, word)
            words.append(word)
        previous = word
    return BoneName(tuple(words), side, tuple(numbers))


def find_joints(names: Sequence[str]) -> dict[str, int]:
    """The bones whose heads are joints of a human body.

    Args:
        names: the rig's bones.

    Returns:
        joint -> index into `names`: ``left_shoulder`` ... ``right_ear``, ``neck``, ``head``; joints that no bone names
        are left out. Of several bones of one name the one with the lowest number is taken (``upperarm01``).
    """
    parsed = [parse_bone_name(name) for name in _without_serials(names)]
    found: dict[str, int] = {}
    wanted = [(f"{side}_{joint}", side, stems) for side in SIDES for joint, stems in SIDED_JOINTS.items()]
    for joint, side, stems in [*wanted, *((joint, None, stems) for joint, stems in CENTRAL_JOINTS.items())]:
        for stem in stems:
            own = [i for i, bone in enumerate(parsed) if bone.stem == stem and bone.side == side]
            if own:
                found[joint] = min(own, key=lambda i: parsed[i].numbers)
                break
    if "head" not in found:  # Rigify's spine goes on to the crown: spine.004 and .005 are the neck, .006 the head
        spine = [i for i, bone in enumerate(parsed) if bone.stem == "spine" and bone.numbers == (6,)]
        found |= {"head": spine[0]} if spine else {}
    return found


def find_fingers(names: Sequence[str]) -> dict[tuple[str, str], tuple[int, ...]]:
    """The phalanges of each finger, from the palm outwards.

    Returns:
        (side, finger) -> indices into `names`, three of them, or four where a fourth bone marks the tip; fingers with
        fewer bones are left out. A thumb's first may be its metacarpal; other metacarpals lie in the palm.
    """
    levels: dict[tuple[str, str], dict[int, int]] = {}
    for i, name in enumerate(_without_serials(names)):
        bone = parse_bone_name(name)
        place = _phalanx(bone)
        if bone.side and place and not (place[1] == 0 and place[0] != "thumb"):
            levels.setdefault((bone.side, place[0]), {}).setdefault(place[1], i)
    chains = {key: tuple(own[level] for level in sorted(own))[:4] for key, own in levels.items()}
    return {key: chain for key, chain in chains.items() if len(chain) >= 3}


def _without_serials(names: Sequence[str]) -> Sequence[str]:
    """Names without the serial number that glTF files of Sketchfab have at the end of each bone's (`Head_05`)."""
    found = [re.fullmatch(r"(.*)_(\d{2,})", name) for name in names]
    numbers = [match[2] for match in found if match]
    if len(numbers) < SERIALS * sum(map(bool, names)) or len(set(numbers)) < len(numbers):
        return names
    return [match[1] if match else name for match, name in zip(found, names, strict=True)]


def _phalanx(bone: BoneName) -> tuple[str, int] | None:
    """Which finger and which of its bones, counted from the palm; None when the bone is no phalanx."""
    if bone.words == ("finger",) and len(bone.numbers) == 2 and 1 <= bone.numbers[0] <= len(FINGERS):  # MakeHuman
        return FINGERS[bone.numbers[0] - 1], bone.numbers[1]
    fingers = [_FINGER_WORDS[word] for word in bone.words if word in _FINGER_WORDS]
    others = [word for word in bone.words if word not in _FINGER_WORDS]
    if len(fingers) != 1 or not set(others) <= _FINGER_COMPANY:
        return None
    named = [_PHALANX_WORDS[word] for word in others if word in _PHALANX_WORDS]
    if named and "metacarpal" in others and bone.numbers:
        return None
    if len(bone.numbers) + len(named) != 1:
        return None
    return fingers[0], (named or list(bone.numbers))[0]
