# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that remember the values in them, so that they are translated where they are shown (`wording`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Sentence(str):
    """An English text, for logs and scripts; `template` and `values` are what its translation is made of."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]


def said(template: str, **values: object) -> Sentence:
    """`template` with its {names} replaced by `values`, of which those that are sentences are translated too; without
    values the text as it is, which may have braces."""
    if isinstance(template, Sentence) and not values:
        return template
    sentence = Sentence(template.format(**values) if values else template)
    sentence.template, sentence.values = template, values
    return sentence


def joined(texts: Sequence[str], between: str) -> Sentence:
    """Several sentences, each translated by itself, with `between` between them."""
    places = {f"part{number}": said(text) for number, text in enumerate(texts)}
    return said(between.join(f"{{{name}}}" for name in places), **places)
