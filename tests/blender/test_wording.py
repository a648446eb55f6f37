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
    "'{name}' is hidden from the camera (Object > Visibility); the shot shows it. "
    "Hide it in renders to leave it out.": "Die Kamera sieht '{name}' nicht.",
    "'{name}' is left out: {reason}.": "Ohne '{name}', denn {reason}.",
    "it is hidden in renders": "es wird nicht gerendert",
    "The frame range {start}..{end} holds no motion.": "Von {start} bis {end} bewegt sich nichts.",
    "Set the end frame after the start.": "Das Ende muss nach dem Anfang kommen.",
    "{time} left": "noch {time}",
    "{minutes} min {rest:02d} s": "{minutes} Min. {rest} Sek.",
    "{doing} {step} of {total}": "{step} von {total}: {doing}",
    "Exporting frame": "Bilder",
    "{progress}. Escape stops.": "{progress}. Esc bricht ab.",
    "Ani3D takes: {share:.0%}, {time}. Escape stops.": "Aufnahmen: {share:.0%}, {time}.",
    "{text} ({reasons}).": "{text}, weil: {reasons}.",
    "edges grow {times:.2f} times": "Kanten um {times:.1f} wachsen",
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


def test_warnings_and_errors_of_the_export_are_translated(addon, part, session, german, capfd, tmp_path):
    rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    bpy.data.objects["Skirt"].visible_camera = False
    double = bpy.data.objects["Body"].copy()
    bpy.context.scene.collection.objects.link(double)
    double.name, double.hide_render = "Double", True
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    told = {"Die Kamera sieht 'Skirt' nicht.", "Ohne 'Double', denn es wird nicht gerendert."}
    assert told <= {warning for kept in session.warnings.values() for warning in kept}
    printed = capfd.readouterr().out
    assert all(each in printed for each in told)
    bpy.context.scene.frame_end = bpy.context.scene.frame_start
    with pytest.raises(RuntimeError, match=r"bewegt sich nichts\. Das Ende muss nach dem Anfang kommen\."):
        bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    assert session.error.startswith("Von 3 bis 3 bewegt sich nichts.")


def test_scripts_and_logs_get_errors_in_english(addon, part, german):
    with pytest.raises(part("export.shot").Ani3DError) as caught:
        part("export.shot").shot_frames(bpy.context.scene, 3, 3)
    english = "The frame range 3..3 holds no motion. Set the end frame after the start."
    assert str(caught.value) == english
    assert part("wording").failure(caught.value) != english


def test_sentences_in_sentences_are_translated_and_names_are_not(addon, part, german):
    said, joined, told = part("sentence").said, part("sentence").joined, part("wording").told
    left = part("jobs").time_left(125.0)
    assert (left, told(left)) == ("2 min 05 s left", "noch 2 Min. 5 Sek.")
    doing = said("{doing} {step} of {total}", doing=said("Exporting frame"), step=2, total=9)
    assert told("{progress}. Escape stops.", progress=joined([doing, left], ", ")) == (
        "2 von 9: Bilder, noch 2 Min. 5 Sek.. Esc bricht ab."
    )
    reasons = joined([said("edges grow {times:.2f} times", times=2.0), "found so before"], "; ")
    assert told("{text} ({reasons}).", text="3 takes", reasons=reasons) == (
        "3 takes, weil: Kanten um 2.0 wachsen; found so before."
    )
    assert told("'{name}' is left out: {reason}.", name="it is hidden in renders", reason=said("why {not}")) == (
        "Ohne 'it is hidden in renders', denn why {not}."
    )
