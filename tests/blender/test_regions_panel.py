"""Painting regions, warnings kept for the panel, and reasons why a button is grey."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import pytest
import rigs


@pytest.fixture
def listed(addon, part):
    """A character whose body and skirt stand in the list, the skirt chosen."""
    rigs.character()
    parts = part("regions.parts")
    items = [bpy.data.objects["Body"], bpy.data.objects["Skirt"]]
    parts.fill_parts(bpy.context.scene, [parts.PartEntry(item) for item in items])
    bpy.context.scene.ani3d.active_part = 1
    return items


def test_painting_starts_on_the_chosen_part(listed, part):
    rigs.select(bpy.data.objects["Rig"])
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.ani3d.paint_region(region="hair")
    skirt = bpy.context.view_layer.objects.active
    assert (skirt.name, skirt.mode, skirt.vertex_groups.active.name) == ("Skirt", "WEIGHT_PAINT", "ani3d_hair")


def test_a_full_stroke_wins_over_labels_that_were_there(listed, part):
    body = listed[0]
    body.vertex_groups.new(name="ani3d_body").add(range(108), 1.0, "REPLACE")
    bpy.ops.ani3d.paint_region(region="garment", object="Body")
    bpy.ops.object.mode_set(mode="OBJECT")
    body.vertex_groups["ani3d_garment"].add([3], 1.0, "REPLACE")  # as a stroke does
    weights = {g.name: [next((m.weight for m in v.groups if m.group == g.index), 0) for v in body.data.vertices]
               for g in body.vertex_groups if g.name.startswith("ani3d_")}  # fmt: skip
    labels = part("export.regions").painted_over([0] * 108, weights)
    assert [i for i, label in enumerate(labels) if label == 3] == [3]


def test_what_cannot_be_painted_says_why(listed, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["Skirt"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    with pytest.raises(RuntimeError, match=r"'Skirt' is linked from 'library.blend'.*Choose its region in the list"):
        bpy.ops.ani3d.paint_region(region="hair", object="Skirt")
    with pytest.raises(RuntimeError, match="No part is chosen"):
        bpy.ops.ani3d.paint_region(region="hair")


def test_grey_buttons_say_why(addon, part):
    operators = {cls.__name__: cls for cls in part("operators").CLASSES}
    assert operators["BindCharacter"].why_not(bpy.context) == "There is no armature in this file."
    assert operators["ExportShot"].why_not(bpy.context) == "No character is bound."
    for name in ("Submit", "Follow", "CancelJob", "FetchResult"):
        assert operators[name].why_not(bpy.context) == "The engine is not running."
    bpy.context.scene.ani3d.armature = rigs.character()
    assert not operators["BindCharacter"].why_not(bpy.context)
    assert not operators["ExportShot"].why_not(bpy.context)


def test_a_running_job_cannot_be_fetched(session, part):
    jobs, operators = part("jobs"), {cls.__name__: cls for cls in part("operators").CLASSES}
    bpy.context.scene.ani3d.job_id = "abc"
    for state, reason in (("running", "The job is still running."), ("failed", "The job has no result.")):
        session.job = jobs.Moment("abc", state, "cloth", 1, 2, 3.0)
        assert operators["FetchResult"].why_not(bpy.context) == reason
    session.job = None


def test_warnings_of_the_job_reach_the_panel(session, part):
    jobs = part("jobs")

    class Client:
        def events(self, _job, since, timeout):
            made = [
                ("cloth", "running", ""),
                ("warning", "running", "Nothing holds 'Cape'."),
                ("warning", "running", "B."),
            ]
            return [
                SimpleNamespace(stage=s, state=t, step=1, total=4, eta=3.0, message=m) for s, t, m in made[since:]
            ], 3

    moment, since = jobs.look(Client(), "job", 0, None)
    assert (moment.stage, moment.warnings, since) == ("cloth", ("Nothing holds 'Cape'.", "B."), 3)
    again, _ = jobs.look(Client(), "job", 3, moment)
    assert again == moment
    session.tell(again)
    assert session.warnings["Animate"] == ["Nothing holds 'Cape'.", "B."]
    session.forget()
    session.forget_warnings()


def test_warnings_are_kept_until_the_operator_runs_again(session):
    session.keep_warning("Export Shot", "One.")
    session.keep_warning("Export Shot", "One.")
    session.keep_warning("Import Result", "Two.")
    assert session.warnings == {"Export Shot": ["One."], "Import Result": ["Two."]}
    bpy.ops.ani3d.dismiss_warnings(operator="Import Result")
    assert session.warnings == {"Export Shot": ["One."]}
    with pytest.raises(RuntimeError):
        bpy.ops.ani3d.export_shot()  # nothing is bound
    assert session.warnings == {}


def test_exporting_keeps_its_warnings(session, part, tmp_path):
    rig = rigs.character()
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 4, 5
    scene.ani3d.armature = rig
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    assert any("preview range" in text for text in session.warnings["Export Shot"])


def test_painting_pins_starts_from_the_guess(listed, part):
    rig, skirt = bpy.data.objects["Rig"], listed[1]
    for vertex in skirt.data.vertices[72:]:  # the upper rings lie on the body
        vertex.co.xy *= 0.151 / vertex.co.xy.length
    bpy.ops.ani3d.bind_character(armature=rig.name)
    figure = part("export.survey").rest_figure(bpy.context, rig)
    expected = part("export.pin_weights").pins_of(figure)[108:]
    assert expected.min() < 0.1 < 0.9 < expected.max()
    bpy.ops.ani3d.paint_pins(object="Skirt")
    group = skirt.vertex_groups["ani3d_pin"]
    assert (skirt.mode, skirt.vertex_groups.active.name) == ("WEIGHT_PAINT", "ani3d_pin")
    assert [group.weight(v) for v in range(108)] == pytest.approx(expected.tolist(), abs=1e-6)
    bpy.ops.object.mode_set(mode="OBJECT")
    group.add([5], 0.25, "REPLACE")
    bpy.ops.ani3d.paint_pins(object="Skirt")  # what is painted stays
    assert group.weight(5) == 0.25


def test_painting_pins_of_a_subdivided_mesh(listed, part):
    rig, skirt = bpy.data.objects["Rig"], listed[1]
    bpy.ops.ani3d.bind_character(armature=rig.name)
    plain = part("export.pin_weights").pins_of(part("export.survey").rest_figure(bpy.context, rig))[108:]
    skirt.modifiers.new("Subdivision", "SUBSURF").subdivision_type = "SIMPLE"
    bpy.ops.ani3d.paint_pins(object="Skirt")
    group = skirt.vertex_groups["ani3d_pin"]
    assert [group.weight(v) for v in range(108)] == pytest.approx(plain.tolist(), abs=0.15)


def test_a_chosen_region_can_be_taken_back(listed):
    bpy.ops.ani3d.bind_character(armature="Rig")
    scene = bpy.context.scene
    scene.ani3d.active_part = 1
    scene.ani3d.parts[1].region = "body"
    bpy.ops.ani3d.use_guess()
    assert (scene.ani3d.parts[1].region, scene.ani3d.parts[1].chosen) == ("garment", False)
    with pytest.raises(RuntimeError, match="No part with a region chosen by hand"):
        bpy.ops.ani3d.use_guess()
