"""`ani3dhuman import`: people made of Gaussians, and motions, from files of other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ani3d_formats.errors import Ani3DError

from .common import watched
from .splats import AXES_HELP

if TYPE_CHECKING:
    from ani3d_formats.shot import Shot

    from ..pipeline.import_avatar import Box
    from ..pipeline.skeleton_person import Guess

MOST_ROWS = 8  # of the table of uncertain parts; all are in the file
AVATAR, SHOT = ".avatar", ".npz"


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the options of `import`."""
    parser.add_argument(
        "source",
        type=Path,
        help="a person: PLY, compressed PLY, SPZ, .splat, .ksplat, SOG, GLB; a motion: BVH, glTF, FBX, AMASS .npz",
    )
    parser.add_argument(
        "--shot", "--onto", type=Path, dest="shot", help="shot.npz, whose mesh carries the person, or who moves"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="NAME.avatar, for the setting avatar_file; of a motion, NAME.npz"
    )
    person = parser.add_argument_group("of a person")
    person.add_argument("--frame", type=int, help="scene frame in whose pose they stand (default: the rest pose)")
    person.add_argument("--axes", help=f"of the source: {AXES_HELP}")
    person.add_argument("--relight", action="store_true", help="light them by the scene (default: as they were seen)")
    person.add_argument(
        "--skeleton",
        action="store_true",
        help="bind them to the shot's skeleton alone: its mesh is left out, one around them is written as NAME.npz",
    )
    person.add_argument(
        "--box",
        metavar="REGION=X,Y,Z:X,Y,Z",
        action="append",
        default=[],
        help="label of the Gaussians between two corners, metres of the scene (default: that of the mesh); repeatable",
    )
    person.add_argument(
        "--photo-command", metavar="COMMAND", help="program that makes Gaussians of a photo: 'lhm {photo} {out}'"
    )
    character = parser.add_argument_group("of a character in glTF: without --shot, -o NAME.npz")
    character.add_argument(
        "--region",
        metavar="NAME=REGION",
        action="append",
        default=[],
        help="of an object or material: body (default), face, hair or garment",
    )
    character.add_argument("--fps", type=float, default=24.0, help="frames a second of the shot (default: 24)")
    body = parser.add_argument_group("of SMPL, SMPL-H or SMPL-X: the model's own .npz, without --shot, -o NAME.npz")
    body.add_argument("--motion", type=Path, help="AMASS .npz that moves it (default: it stands)")
    body.add_argument("--betas", help="coefficients of its shape, such as --betas=0.5,-1 (default: the motion's)")
    motion = parser.add_argument_group("of a motion")
    motion.add_argument("--clip", help="of glTF or FBX, by name or number (default: the first)")
    motion.add_argument("--as-is", action="store_true", help="leave feet as they fall (default: hold those that stand)")
    motion.add_argument(
        "--own-place", action="store_true", help="begin where the file does (default: as the shot does)"
    )
    motion.add_argument("--follow", action="store_true", help="the camera goes along (default: as in the shot)")
    motion.add_argument("--blender", help="program that reads FBX (default: ANI3DHUMAN_BLENDER, else blender)")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> None:
    if options.out.suffix == AVATAR:
        _person(options)
    elif options.out.suffix == SHOT:
        _character(options) if options.shot is None else _motion(options)
    else:
        raise Ani3DError(
            "cli.syntax", f"{options.out} is neither NAME.avatar nor NAME.npz.", "Name what is to be made with -o."
        )


def _person(options: argparse.Namespace) -> None:
    from ani3d_formats.progress import Progress

    from ..avatar.skeleton_proxy import STEPS
    from ..pipeline.import_avatar import import_avatar
    from ..pipeline.photo_person import person_of_photo
    from ..pipeline.skeleton_person import shot_around
    from ..splats.formats import read_splats

    shot, boxes = _shot(options), [_box(text) for text in options.box]
    source, made = options.source.name, options.out.with_suffix(SHOT)
    if options.skeleton and made.resolve() == options.shot.resolve():
        raise Ani3DError("cli.syntax", f"-o {options.out} would replace {made}.", "Give the avatar another name.")
    with watched() as (bars, stopped):
        if options.photo_command:
            progress = Progress("photo", 1, bars.listen, stopped)
            splats = person_of_photo(options.source, options.photo_command, options.axes, progress)
        else:
            splats = read_splats(options.source, options.axes)
        guess = None
        if options.skeleton:
            making = Progress("mesh", STEPS, bars.listen, stopped)
            guess = shot_around(splats, shot, options.out.stem, options.frame, boxes, making)
            shot = guess.shot
            shot.save(made)
        binding = Progress("bind", 1, bars.listen, stopped)
        bound, picture = import_avatar(
            splats, shot, options.out, source, options.frame, options.relight, boxes, binding
        )
    if guess is not None:
        _print_guess(guess, made)
    for name, value in bound.notes.items():
        print(f"{name:<22}{value:>12,}")
    rows = json.loads(picture.with_suffix(".json").read_text(encoding="utf-8"))["parts"]
    doubtful = [row for row in rows if row["uncertain"] > 0][:MOST_ROWS]
    if doubtful:
        print(f"\n{'uncertain at':<22}{'Gaussians':>12}{'uncertain':>11}{'median mm':>11}{'95 % mm':>9}")
    for row in doubtful:
        share = f"{row['uncertain']:.1%}"
        print(
            f"{row['part'][:21]:<22}{row['gaussians']:>12,}{share:>11}{row['median_mm']:>11}{row['95_percent_mm']:>9}"
        )
    print(f"{options.out}; look at {picture}")


def _print_guess(guess: Guess, path: Path) -> None:
    print(f"{path}: the scene with a mesh of {len(guess.shot['vertices']):,} vertices around them; animate this shot")
    print("What bones move is a guess from distances: a mesh of your own, painted in Blender, is better.")
    print(f"{guess.doubtful:.1%} of it is about as near to another limb; {guess.unseen:.1%} has no bone behind it, as")
    print("skirts have, and follows what is around.")
    named = ", ".join(f"{name} {share:.1%}" for name, share in guess.parts[:MOST_ROWS] if share >= 5e-4)
    print(f"In doubt, of all: {named}.\n" if named else "")


def _box(text: str) -> Box:
    from ..pipeline.import_avatar import Box

    region, _, corners = text.partition("=")
    try:
        low, high = (tuple(float(number) for number in corner.split(",")) for corner in corners.split(":"))
        if len(low) != 3 or len(high) != 3:
            raise ValueError
    except ValueError as error:
        hint = "Write it as --box garment=-0.4,-0.3,0.5:0.4,0.3,1.1."
        raise Ani3DError("cli.syntax", f"--box {text} cannot be read.", hint) from error
    return Box(region, low, high)


def _character(options: argparse.Namespace) -> None:
    if options.source.suffix.lower() == SHOT:
        _body(options)
        return
    from ..gltf.import_character import read_character

    if options.source.suffix.lower() not in (".glb", ".gltf"):
        raise Ani3DError("cli.syntax", "--shot is missing.", "Give the shot.npz of the character that is to move.")
    pairs = [pair.partition("=") for pair in options.region]
    regions = {name: region for name, _, region in pairs}
    shot = read_character(options.source, clip=options.clip, fps=options.fps, regions=regions)
    shot.save(options.out)
    names = ", ".join(f"{item.name} ({item.vertex_count:,} vertices)" for item in shot.meta.objects)
    print(f"{shot.frames} frames at {shot.meta.fps:g} a second; {len(shot.meta.bones)} bones; {names}")
    print(options.out)


def _body(options: argparse.Namespace) -> None:
    import numpy as np

    from ..bodies.shot import import_body

    try:
        betas = np.array([float(text) for text in options.betas.split(",")]) if options.betas else None
    except ValueError as error:
        raise Ani3DError(
            "cli.syntax", f"--betas {options.betas} cannot be read.", "Write it as --betas=0.5,-1."
        ) from error
    shot = import_body(options.source, options.out, options.motion, betas)
    print(f"{shot.meta.source.application} of {len(shot['vertices']):,} vertices, {shot.frames} frames")
    print(f"{options.out}; with --coarse evaluated its muscles bulge as the model says")


def _motion(options: argparse.Namespace) -> None:
    from ..motions.files import read_motion
    from ..pipeline.import_motion import import_motion

    shot = _shot(options)
    motion = read_motion(options.source, options.clip, options.blender)
    new, moved = import_motion(
        motion,
        shot,
        options.out,
        contact=not options.as_is,
        at_start=not options.own_place,
        follow=options.follow,
    )
    carried = len(shot.meta.skeleton) - len(moved.mapped)
    print(f"{new.frames} frames at {new.meta.fps:g} a second from {motion.frames} at {1 / motion.frame_time:g}")
    print(f"one unit of the file is {moved.scale:.4g} m; feet stand in {moved.standing} of {2 * new.frames} moments")
    print(f"{len(moved.mapped)} bones follow joints of the file, {carried} are carried by their parents")
    print(options.out)


def _shot(options: argparse.Namespace) -> Shot:
    from ani3d_formats.shot import Shot

    if options.shot is None:
        raise Ani3DError("cli.syntax", "--shot is missing.", "Give the shot.npz of the character.")
    return Shot.load(options.shot)
