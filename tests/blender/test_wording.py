"""Sentences with values in them are translated as a whole, and filled in afterwards."""

from __future__ import annotations

import bpy
import pytest
import rigs
from test_panels import _draw

GERMAN = {
    "Scene frames {first} to {last}, {seconds:.1f} s": "Bilder der Szene: {first} bis {last} ({seconds:.1f} s)",
    "{what}: {names}": "{names} - {what}",
    "Swing as cloth": "schwingt als Stoff",
    "Bound '{name}': {bones} bones, {count} vertices in {names}.": "{count} Punkte in {names}, '{name}' ist gebunden.",
}


@pytest.fixture
def german(part, monkeypatch):
    """Blender's translations, without a catalogue on the disk."""
    translations = type("Translations", (), {})()
    translations.pgettext_iface = translations.pgettext_rpt = lambda text: GERMAN.get(text, text)
    wording = part("wording")
    app = type("App", (), {"translations": translations})()
    monkeypatch.setattr(wording, "bpy", type("Bpy", (), {"app": app})())


def test_what_panels_and_operators_say_is_translated(addon, part, german, capfd):
    rigs.character()
    bpy.ops.ani3d.bind_character()
    drawn = _draw(part, "ChecksPanel").drawn
    assert "Bilder der Szene: 3 bis 10 (0.3 s)" in " ".join(drawn)
    assert "Skirt - schwingt als Stoff" in drawn
    assert "Punkte in Body, Skirt, 'Rig' ist gebunden." in capfd.readouterr().out


def test_names_with_braces_are_no_places(addon, part, german):
    told = part("wording").told
    assert told("{what}: {names}", what="a {b}", names="{0}") == "{0} - a {b}"
    assert told("it is made of {curly}") == "it is made of {curly}"


def test_without_a_translation_the_english_sentence_is_filled_in(addon, part):
    assert part("wording").reported("'{name}' is shown.", name="Rig") == "'Rig' is shown."
