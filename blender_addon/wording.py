# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences with values in them, in the language of Blender's interface: the sentence is translated, then filled in.

Blender translates texts by looking them up whole, and would not find one that has values in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError

from .sentence import Sentence, said


def told(sentence: str, **values: object) -> str:
    """A sentence for a panel, its {names} replaced by `values`."""
    return _translated(said(sentence, **values), cast(Any, bpy.app.translations).pgettext_iface)


def reported(sentence: str, **values: object) -> str:
    """The same for what an operator reports."""
    return _translated(said(sentence, **values), cast(Any, bpy.app.translations).pgettext_rpt)


def failure(problem: Exception) -> str:
    """What went wrong and what to do about it, for a report."""
    if not isinstance(problem, Ani3DError):
        return str(problem)
    return " ".join(reported(text) for text in (problem.message, problem.hint) if text)


def _translated(sentence: Sentence, translate: Callable[[str], str]) -> str:
    values = {
        name: _translated(value, translate) if isinstance(value, Sentence) else value
        for name, value in sentence.values.items()
    }
    template = translate(sentence.template)
    return template.format(**values) if values else template  # a name in it may have braces
