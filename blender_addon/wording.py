# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences with values in them, in the language of Blender's interface: the sentence is translated, then filled in.

Blender translates texts by looking them up whole, and would not find one that has values in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import bpy


def told(sentence: str, **values: object) -> str:
    """A sentence for a panel, its {names} replaced by `values`."""
    return _filled(cast(Any, bpy.app.translations).pgettext_iface(sentence), values)


def reported(sentence: str, **values: object) -> str:
    """The same for what an operator reports."""
    return _filled(cast(Any, bpy.app.translations).pgettext_rpt(sentence), values)


def _filled(sentence: str, values: Mapping[str, object]) -> str:
    return sentence.format(**values) if values else sentence  # a name in it may have braces
