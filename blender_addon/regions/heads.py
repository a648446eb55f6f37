# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bones hold the head, by the names that rigs give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from .name_matching import split_words

_WORDS = frozenset(
    ("head", "kopf", "tete", "cabeza", "cabeca", "testa", "голова", "頭", "头", "頭部", "头部", "머리", "skull")
)
_INSIDE = frozenset(["eye", "eyes", "jaw", "teeth", "tongue", "face", "eyelid", "brow", "lip", "chin", "nose"])
_RIGIFY = re.compile(r"(?i)(def-|org-)?spine\.006$")  # a human of Rigify has no bone named head


def head_bones(names: Sequence[str], parents: Sequence[int]) -> np.ndarray:
    """(B,) bool: bones named as heads, and all that hang on them.

    Args:
        names: bones as a shot lists them; rows "object:NAME" are objects, whose names say nothing here.
        parents: (B,) row of each one's parent, -1 for a root; parents need not come first.
    """
    words = [frozenset() if name.startswith("object:") else frozenset(split_words(name)) for name in names]
    named = {row for row, each in enumerate(words) if each & _WORDS}
    if not named:
        named = {row for row, name in enumerate(names) if _RIGIFY.match(name)}
    inside = {row for row, each in enumerate(words) if each & _INSIDE}
    if not named:  # what holds the parts of a face
        named = {parents[row] for row in inside if parents[row] >= 0}
    found = np.zeros(len(names), bool)
    for row in range(len(names)):
        found[row] = any(up in named | inside for up in upwards(row, parents))
    return found


def upwards(row: int, parents: Sequence[int]) -> Iterator[int]:
    """`row` and those it hangs on, up to the root."""
    for _ in parents:
        yield row
        row = parents[row]
        if row < 0:
            return
