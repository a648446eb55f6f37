# SPDX-License-Identifier: GPL-3.0-or-later
"""What a name says about a part, by whole words in eleven languages.

"Brown" holds no brow and "Surface" no face: names are split at punctuation, digits, capitals and changes of script.
Scripts that are written without spaces are searched for the longest known words; Russian words are known by their
stems, German and English compounds by their last part.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from .vocabulary import COMPOUND_ENDS, COMPOUND_STARTS, LETTERS, MODIFIERS, RUSSIAN, UNSPACED

_RUNS = re.compile(
    r"(?P<latin>[a-zA-Z\u00c0-\u024f]+)|(?P<cyrillic>[\u0400-\u04ff]+)"
    r"|(?P<unspaced>[\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)"
)
_HUMPS = re.compile(r"[A-Z\u00c0-\u00de]?[a-z\u00df-\u00ff]+|[A-Z\u00c0-\u00de]+(?![a-z\u00df-\u00ff])")
_ABSENT_BEFORE, _ABSENT_AFTER = ("no", "without", "sans", "sin", "senza", "ohne", "sem"), ("less",)
_STROKED = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "Oe", "ı": "i"})
CLOSE = 0.1  # two regions said about equally strongly: the name is not clear
Said = tuple[str, float]


def region_of(name: str) -> tuple[str, float] | None:
    """The region that `name` speaks of (one of REGIONS) and how surely, 0..1; None where it says nothing.

    Of several words the strongest counts ("Dress_Shoes" are shoes), of equal ones the last.
    """
    said = _said(name)
    if not said:
        return None
    region, strength = said[0]
    for found in said[1:]:
        if found[1] >= strength:
            region, strength = found
    if region == "garment" and said[-1][0] == "face":  # "Hood_Head" is a head, "Head_Scarf" a scarf
        return "face", 0.6
    if any(other != region and strength - at < CLOSE for other, at in said):
        strength -= 0.2
    return region, strength


def split_words(name: str) -> list[str]:
    """The words of `name`, folded: small letters, no accents. Runs of unspaced scripts stay whole."""
    return [word for _, word in _words(name)]


def _said(name: str) -> list[Said]:
    """What each word of `name` says, in order."""
    words, said, row = _words(name), list[Said](), 0
    while row < len(words):
        script, word = words[row]
        if script == "unspaced":
            said += _unspaced(word)
        elif script == "cyrillic":
            said += filter(None, [_russian(word)])
        else:
            absent = word in _ABSENT_BEFORE or (row + 1 < len(words) and words[row + 1][1] in _ABSENT_AFTER)
            found, used = (None, 2) if absent else _latin(words, row)
            said += filter(None, [found])
            row += used - 1
        row += 1
    return said


def _words(name: str) -> list[tuple[str, str]]:
    """(script, word) of the words of `name`."""
    plain = unicodedata.normalize("NFKC", name)
    words = []
    for run in _RUNS.finditer(plain):
        script = str(run.lastgroup)
        pieces = _HUMPS.findall(_plain(run.group())) if script == "latin" else [run.group()]
        words += [(script, _fold(piece)) for piece in pieces]
    return words


def _plain(word: str) -> str:
    """Latin letters without accents and strokes, capitals as they are."""
    apart = unicodedata.normalize("NFD", word.translate(_STROKED))
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", apart))


@cache
def _fold(word: str) -> str:
    """Small letters without the accents of Latin and Cyrillic; kana keep their voicing marks."""
    apart = unicodedata.normalize("NFD", word.casefold())
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", apart))


def _latin(words: list[tuple[str, str]], row: int) -> tuple[Said | None, int]:
    """What the words from `row` on say, and how many that takes: "Pony_Tail" is one word of two."""
    for count in (3, 2):
        taken = words[row : row + count]
        if len(taken) == count and all(script == "latin" for script, _ in taken):
            joined = _lookup("".join(word for _, word in taken))
            if joined:
                return joined, count
    word = words[row][1]
    return _lookup(word) or _compound(word), 1


def _lookup(word: str) -> Said | None:
    """A word or its plural."""
    for form in (word, word[:-1] if word.endswith("s") else "", word[:-2] if word.endswith("es") else ""):
        if len(form) > 1 and form in LETTERS:
            return LETTERS[form]
    return None


def _compound(word: str) -> Said | None:
    """Words run together: "leathershoes", "regenmantel", "haarband", "eyeliner"."""
    for start in MODIFIERS:
        if word.startswith(start) and (found := _lookup(word[len(start) :])):
            return found
    for end, found in COMPOUND_ENDS.items():
        if word.endswith(end) and len(word) > len(end) + 1 and not word.endswith("chair"):
            return found
    for start, found in COMPOUND_STARTS.items():
        if word.startswith(start) and len(word) > len(start) + 2 and not word.endswith("less"):
            return found
    return None


def _russian(word: str) -> Said | None:
    best = max((stem for stem in RUSSIAN if word.startswith(stem) and len(word) <= len(stem) + 3), key=len, default="")
    return RUSSIAN.get(best)


def _unspaced(run: str) -> list[Said]:
    """Known words of a run, the longest first, without overlap, in order."""
    said, at = [], 0
    while at < len(run):
        length = next((n for n in range(min(8, len(run) - at), 0, -1) if run[at : at + n] in UNSPACED), 0)
        found = UNSPACED.get(run[at : at + length])
        if found and found[0]:
            said.append(found)
        at += max(1, length)
    return said
