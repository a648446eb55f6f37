"""One table of the formats that Gaussians are read from and written to, and reading and writing by a file's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ani3d_formats.atomic import cannot_write, write_bytes
from ani3d_formats.errors import Ani3DError

from .axes import turn
from .compressed_ply import compressed_ply_parts, read_compressed_ply
from .gltf import gltf_parts, read_gltf
from .ksplat import ksplat_parts, read_ksplat
from .ply import ply_parts, read_ply
from .sog import read_sog
from .sog_writer import sog_parts
from .splat_file import read_splat, splat_parts
from .splats import Parts, Splats
from .spz import read_spz, spz_parts
from .usd import ENDINGS
from .usd_reader import read_usd

Reader = Callable[[Path], tuple[Splats, str | None]]
Encoder = Callable[[Path, Splats, str], Parts]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        ending: what its files' names end in; the longest that fits is taken.
        what: a few words for lists.
        axes: those that its files have unless they name others.
        fixed_axes: whether a file cannot have others.
        degree: the highest degree of colour that it holds.
    """

    ending: str
    what: str
    axes: str
    fixed_axes: bool
    degree: int
    read: Reader
    parts: Encoder | None


FORMATS = (
    Format(
        ".compressed.ply", "compressed PLY of PlayCanvas", "y-down", False, 3, read_compressed_ply, compressed_ply_parts
    ),
    Format(".ply", "PLY as 3DGS trainers write it", "y-down", False, 3, read_ply, ply_parts),
    Format(".spz", "SPZ of Niantic", "y-up", True, 3, read_spz, spz_parts),
    Format(".splat", ".splat of antimatter15", "y-down", False, 0, read_splat, splat_parts),
    Format(".ksplat", ".ksplat of GaussianSplats3D", "y-down", False, 2, read_ksplat, ksplat_parts),
    Format(".sog", "SOG of PlayCanvas in one file", "y-down", False, 3, read_sog, sog_parts),
    Format("meta.json", "SOG of PlayCanvas in a folder", "y-down", False, 3, read_sog, None),
    *(Format(ending, "USD with Gaussians", "z-up", False, 3, read_usd, None) for ending in ENDINGS),
    Format(".glb", "glTF with KHR_gaussian_splatting", "y-up", True, 3, read_gltf, gltf_parts),
)


def format_of(path: Path) -> Format:
    """The format that a file's name says. Raises `Ani3DError` ``splats.format``."""
    fitting = [each for each in FORMATS if path.name.lower().endswith(each.ending)]
    if not fitting:
        known = ", ".join(each.ending for each in FORMATS)
        raise Ani3DError("splats.format", f"{path.name} has no ending of a file of Gaussians.", f"Known are {known}.")
    return max(fitting, key=lambda each: len(each.ending))


def written_format(path: Path) -> Format:
    """As `format_of`; raises `Ani3DError` ``splats.format`` for a format that is only read, too."""
    kind = format_of(path)
    if kind.parts is None:
        written = ", ".join(each.ending for each in FORMATS if each.parts)
        hint = "Use `ani3dhuman export`." if kind.ending in ENDINGS else f"Written are {written}."
        raise Ani3DError("splats.format", f"{kind.ending} is read, not written.", hint)
    return kind


def read_splats(path: Path, axes: str | None = None) -> Splats:
    """Gaussians of a file of any known format, in Blender's axes (Z up).

    Args:
        axes: those of the file, see `axes.AXES`; None for those that it names, else those usual for its format.

    Raises:
        Ani3DError: ``splats.format``, ``splats.missing``, ``splats.unreadable``, ``splats.malformed``,
            ``splats.values``, ``splats.axes``, ``splats.package``, ``splats.memory``.
    """
    kind = format_of(path)
    if not path.is_file():
        raise Ani3DError("splats.missing", f"There is no file '{path}'.", "Check the path.")
    reader = read_compressed_ply if kind.ending == ".ply" and _is_compressed(path) else kind.read
    try:
        splats, named = reader(path)
        return splats.checked(path).turned(turn(axes or named or kind.axes, "z-up"))
    except MemoryError as error:
        what = f"There is not memory enough for {path.name} ({path.stat().st_size:,} bytes)."
        raise Ani3DError(
            "splats.memory", what, "Prune it first (SuperSplat does), or use a machine with more."
        ) from error
    except OSError as error:
        raise Ani3DError("splats.unreadable", f"'{path}' cannot be read ({error.strerror}).", "Check it.") from error


def write_splats(path: Path, splats: Splats, axes: str | None = None) -> None:
    """Write Gaussians, in Blender's axes, to a file whose name says the format.

    Args:
        axes: those of the file; None for those usual for its format.

    Raises:
        Ani3DError: ``splats.format`` for formats that are only read; ``splats.axes`` where a format has its own;
            ``disk.full``, ``file.unwritable``.
    """
    parts = encoded(path, splats, axes)
    try:
        write_bytes(path, *parts)
    except OSError as error:
        raise cannot_write(path, error) from error


def encoded(path: Path, splats: Splats, axes: str | None = None) -> Parts:
    """What `write_splats` writes to `path`; arguments and errors are the same."""
    kind = written_format(path)
    assert kind.parts is not None
    if kind.fixed_axes and axes not in (None, kind.axes):
        raise Ani3DError("splats.axes", f"{kind.ending} is always {kind.axes}, not {axes}.", "Leave the axes out.")
    chosen = axes or kind.axes
    turned = splats.checked(path).with_degree(kind.degree).turned(turn("z-up", chosen))
    return kind.parts(path, turned, chosen)


def _is_compressed(path: Path) -> bool:
    """Whether a PLY is a compressed one under a plain name."""
    with open(path, "rb") as file:
        return b"packed_position" in file.read(1 << 16).partition(b"end_header")[0]
