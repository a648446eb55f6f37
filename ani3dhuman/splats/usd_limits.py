"""USD files that would take a machine's memory or stack: looked at before they are composed, or even parsed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .splats import damaged_error

DEEPEST = 500  # brackets in brackets, and prims in prims; the parser of USD's text crashes at some thousands
MOST_PRIMS = 100_000
TEXT = b"#usda"
# strings, names of files, paths and comments, whose brackets do not count
_ASIDE = re.compile(
    rb'"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|@@@[\s\S]*?@@@|@[^@\n]*@|<[^>\n]*>|#[^\n]*'
)


def check_depth(path: Path) -> None:
    """Raise `Ani3DError` ``splats.malformed`` for text whose brackets are nested deeper than its parser can bear."""
    with open(path, "rb") as file:
        if file.read(len(TEXT)) != TEXT:
            return
        data = np.frombuffer(_ASIDE.sub(b"", file.read()), np.uint8)
    steps = np.isin(data, list(b"([{")).astype(np.int8) - np.isin(data, list(b")]}")).astype(np.int8)
    if np.cumsum(steps, dtype=np.int32).max(initial=0) > DEEPEST:
        raise damaged_error(path, f"its text is nested deeper than {DEEPEST}", "USD")


def check_prims(path: Path, layers: Mapping[Path, Any]) -> None:
    """Raise ``splats.malformed`` where a file's references, within it too, would make more prims than `MOST_PRIMS`.

    Args:
        path: for the message.
        layers: all that it refers to, parsed, by their resolved paths, itself among them.
    """
    known: dict[tuple[Path, str], int] = {}
    for file, layer in layers.items():
        if _composed(layers, known, file, layer.pseudoRoot) > MOST_PRIMS:
            raise damaged_error(path, f"its references make more than {MOST_PRIMS:,} prims", "USD")


def _composed(layers: Mapping[Path, Any], known: dict[tuple[Path, str], int], file: Path, spec: Any) -> int:
    """How many prims a spec of a layer becomes at most, its own and those that it refers to; cut at the limit."""
    key = file, str(spec.path)
    if key in known:
        return known[key]
    known[key] = 1  # of a circle, which composition refuses by itself
    total = 1
    for child in (*spec.nameChildren, *_variants(spec)):
        total += _composed(layers, known, file, child)
    for target, name in _arcs(file, spec):
        for other, layer in layers.items() if target is None else [(target, layers[target])]:
            prim = layer.GetPrimAtPath(name or f"/{layer.defaultPrim}")
            if prim:
                total += _composed(layers, known, other, prim)
    known[key] = min(total, MOST_PRIMS + 1)
    return known[key]


def _variants(spec: Any) -> list[Any]:
    sets = spec.variantSets.values() if hasattr(spec, "variantSets") else ()
    return [variant.primSpec for each in sets for variant in each.variants.values()]


def _arcs(file: Path, spec: Any) -> list[tuple[Path | None, str]]:
    """What a prim refers to: a file, or None for any of the same stack, and the prim's path, "" for the default."""
    if not hasattr(spec, "referenceList"):
        return []
    found: list[tuple[Path | None, str]] = []
    for items in (spec.referenceList, spec.payloadList):
        for item in items.GetAddedOrExplicitItems():
            target = (file.parent / item.assetPath).resolve() if item.assetPath else None
            found.append((target, str(item.primPath)))
    for paths in (spec.inheritPathList, spec.specializesList):
        found += [(None, str(name)) for name in paths.GetAddedOrExplicitItems()]
    return found
