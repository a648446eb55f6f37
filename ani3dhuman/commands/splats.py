"""`ani3dhuman export` and `convert`: Gaussians out to other programs, and from format to format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from .common import numbers, watched

if TYPE_CHECKING:
    from ani3d_formats.frames import FrameCache
    from ani3d_formats.shot import Shot

AXES_HELP = "z-up, y-up or y-down (default: as usual for the format)"


def add_export(parser: argparse.ArgumentParser) -> None:
    """Define the options of `export`."""
    parser.add_argument("cache", type=Path, help="NAME.ani3d folder")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="NAME.usdc, NAME.glb, or the folder of a file a frame"
    )
    parser.add_argument(
        "--format",
        default="ply",
        help="of a file a frame: ply (default), compressed.ply, spz, splat, ksplat, sog or glb; or mdd",
    )
    parser.add_argument("--shot", type=Path, help="shot.npz: USD gets its faces, cameras and skeleton")
    parser.add_argument(
        "--bones", type=int, default=32, help="of each cloth in NAME.glb, which needs --shot (default: 32)"
    )
    parser.add_argument(
        "--shape-keys",
        action="store_true",
        help="NAME.glb: a shape key a frame for such meshes, exact, instead of bones",
    )
    parser.add_argument(
        "--gaussians", action="store_true", help="NAME.glb with --shot: the result's Gaussians too, on the same bones"
    )
    parser.add_argument("--blender", help="program that writes NAME.abc (default: ANI3DHUMAN_BLENDER, else blender)")
    parser.add_argument("--frames", metavar="A:B", help="first and last scene frame, or one frame (default: all)")
    parser.add_argument("--axes", help=AXES_HELP)
    parser.set_defaults(run=_export)


def add_convert(parser: argparse.ArgumentParser) -> None:
    """Define the options of `convert`."""
    parser.add_argument(
        "source",
        type=Path,
        nargs="+",
        help="PLY, compressed PLY, SPZ, .splat, .ksplat, SOG, GLB or USD; some, or a folder",
    )
    parser.add_argument(
        "target", type=Path, help="PLY, .compressed.ply, SPZ, .splat, .ksplat, .sog or GLB; or a folder, with --format"
    )
    parser.add_argument("--format", help="of the files in the target's folder: ply, compressed.ply, spz ...")
    parser.add_argument("--axes", help=f"of the source: {AXES_HELP}")
    parser.add_argument("--to-axes", help=f"of the target: {AXES_HELP}")
    parser.set_defaults(run=_convert)


def _export(options: argparse.Namespace) -> None:
    from ani3d_formats.frames import FrameCache
    from ani3d_formats.shot import Shot

    from ..mesh.decomposition import ROUNDS
    from ..pipeline.mesh_files import write_alembic, write_mdd, write_provenance
    from ..splats.sequences import write_sequence
    from ..splats.usd import ENDINGS, write_usd

    wanted = numbers("--frames", options.frames, r"(-?\d+)(?::(-?\d+))?", "Write it as --frames 1:48 or --frames 12.")
    cache = FrameCache.open(options.cache)
    first, last = (
        wanted[0] if wanted else cache.manifest.frame_start,
        wanted[-1] if wanted else cache.manifest.frame_end,
    )
    frames = range(first, last + 1)
    if not frames or first < cache.manifest.frame_start or last > cache.manifest.frame_end:
        held = f"{cache.manifest.frame_start}:{cache.manifest.frame_end}"
        raise Ani3DError("cache.frame", f"{options.cache} has no frames {first}:{last}.", f"It holds --frames {held}.")
    ending = options.out.suffix.lower()
    if ending and ending not in (*ENDINGS, ".glb", ".abc"):
        raise Ani3DError(
            "cli.syntax",
            f"{options.out} is neither NAME.usdc, NAME.glb, NAME.abc nor a folder.",
            "Give a folder, and --format for its files.",
        )
    if options.gaussians and ending != ".glb":
        raise Ani3DError("cli.syntax", "--gaussians is for NAME.glb.", "USD and files a frame have them anyway.")
    if ending in (".glb", ".abc") and options.shot is None:
        raise Ani3DError("cli.syntax", f"{options.out.name} needs --shot.", "Give the shot of the result.")
    shot = Shot.load(options.shot) if options.shot else None
    with watched() as (bars, stopped):
        progress = Progress("export", len(frames), bars.listen, stopped)
        if ending == ".glb":
            assert shot is not None
            progress.total = ROUNDS * len(shot.meta.objects)
            files = [_bake(options, cache, frames, shot, progress)]
        elif ending == ".abc":
            assert shot is not None
            files = [write_alembic(options.out, cache, shot, frames, options.blender, progress)]
        elif ending:
            files = [write_usd(options.out, cache, frames, shot, progress)]
        elif options.format == "mdd":
            progress.total = len(cache.meshes())
            files = write_mdd(options.out, cache, frames, progress)
        else:
            files = write_sequence(cache, options.out, options.format, frames, options.axes, progress)
    write_provenance(options.out, cache, frames)
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, the last is {files[-1]}")


def _bake(options: argparse.Namespace, cache: FrameCache, frames: range, shot: Shot, progress: Progress) -> Path:
    from ..pipeline.bake import bake

    if not 1 <= options.bones <= 1000:
        raise Ani3DError("cli.syntax", f"--bones {options.bones} is out of range.", "Give 1 to 1000.")
    out: Path = options.out
    bones = None if options.shape_keys else options.bones
    for name, (rms, worst) in bake(out, cache, shot, frames, bones, progress, options.gaussians).items():
        print(f"{name:<24}{1000 * rms:8.2f} mm from the result, at most {1000 * worst:.1f}")
    return out


def _convert(options: argparse.Namespace) -> None:
    from ..splats.formats import format_of
    from ..splats.sequences import convert_files

    sources, targets = _pairs(options)
    with watched() as (bars, stopped):
        progress = Progress("convert", 2 * len(sources), bars.listen, stopped)
        found = convert_files(sources, targets, options.axes, options.to_axes, progress)
    lost = max(degree for _, degree in found) - format_of(targets[0]).degree
    note = ", without the colours that depend on the view" if lost > 0 else ""
    size = sum(target.stat().st_size for target in targets) / 1e6
    place = targets[0] if len(targets) == 1 else f"{len(targets)} files of {targets[0].parent}"
    print(f"{sum(count for count, _ in found):,} Gaussians in {place}, {size:.1f} MB{note}")


def _pairs(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The files to read, and where each goes."""
    from ..splats.formats import FORMATS, format_of, written_format

    sources: list[Path] = []
    for source in options.source:
        if source.is_dir():
            known = tuple(each.ending for each in FORMATS)
            sources += [file for file in sorted(source.iterdir()) if file.name.lower().endswith(known)]
        else:
            sources.append(source)
    if not sources:
        raise Ani3DError("cli.syntax", f"{options.source[0]} holds no file of Gaussians.", "Check the folder.")
    if options.format is None:
        if len(sources) > 1 or options.target.is_dir():
            raise Ani3DError("cli.syntax", "--format is missing.", "Give it, such as --format spz, and a folder.")
        return sources, [options.target]
    ending = written_format(Path(f"a.{options.format.lstrip('.')}")).ending
    stems = [source.name[: -len(format_of(source).ending)] or source.parent.name for source in sources]
    return sources, [options.target / f"{stem}{ending}" for stem in stems]
