"""The sidebar: what it shows of a character, of jobs and of results, and that all it draws exists."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import bpy
import pytest
import rigs

ICONS = set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys())


class _Layout:
    """Stands in for a UILayout: takes every call, and remembers which operators and properties were drawn."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.buttons: list[SimpleNamespace] = []

    def _sub(self, **_options) -> _Layout:
        return self

    row = column = box = split = grid_flow = _sub

    def prop(self, owner, name: str, **_options) -> None:
        getattr(owner, name)  # a misspelt property would only fail when drawn
        self.drawn.append(name)

    def operator(self, name: str, icon: str = "NONE", **options):
        category, _, function = name.partition(".")
        assert function in dir(getattr(bpy.ops, category)), name
        assert icon in ICONS, icon
        self.drawn.append(name)
        self.buttons.append(SimpleNamespace(operator=name, **options))
        return self.buttons[-1]

    operator_menu_enum = operator

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in ICONS, icon
        self.drawn.append(text)

    def template_list(self, *_arguments: object, **_options: object) -> None:
        self.drawn.append("list")

    def template_icon(self, icon_value: int, scale: float) -> None:
        self.drawn.append("picture")

    def progress(self, factor: float, text: str) -> None:
        assert 0 <= factor <= 1
        self.drawn.append(text)


def _draw(part, *names: str) -> _Layout:
    """Draw the panels of these names, all where none is given."""
    layout = _Layout()
    layout.scale_y = layout.alert = layout.use_property_split = layout.use_property_decorate = None
    for panel in (cls for cls in part("ui").CLASSES if issubclass(cls, bpy.types.Panel)):
        if names and panel.__name__ not in names:
            continue
        fake = type(panel.__name__, (), {k: v for k, v in vars(panel).items() if not k.startswith("__")})()
        fake.layout = layout
        fake.draw(bpy.context)
    return layout


def _text(layout: _Layout) -> str:
    return " ".join(layout.drawn)


@pytest.fixture
def link(session, part, monkeypatch):
    """An engine that is connected and says nothing."""
    welcome = SimpleNamespace(engine_version="0.1.0", device="cpu", priors=["compact"])
    client = SimpleNamespace(close=lambda: None, jobs=list)
    link = part("connection").Link("tcp://127.0.0.1:1", welcome, None, ThreadPoolExecutor(), client)
    monkeypatch.setattr(session, "link", link)
    return link


def test_an_empty_file_offers_one_button(addon, part):
    assert "ani3d.animate" in _draw(part, "AnimatePanel").drawn
    assert "Animate looks at the character first" in _text(_draw(part, "ChecksPanel"))
    assert {"ani3d.export_shot", "ani3d.start_engine", "ani3d.record_takes"} <= set(_draw(part).drawn)
    shown = _draw(part, "AnimatePanel", "ChecksPanel", "JobsPanel")
    names = {button.operator for button in shown.buttons}
    assert names == {"ani3d.animate", "ani3d.bind_character", "ani3d.import_result"}


def test_checks_say_what_moves_how_and_what_holds_it(addon, part):
    rig = rigs.character()
    cloud = bpy.data.objects.new("Cloud", bpy.data.pointclouds.new("Cloud"))
    bpy.context.scene.collection.objects.link(cloud)
    cloud.parent = rig
    bpy.ops.ani3d.bind_character()
    text = _text(_draw(part, "ChecksPanel"))
    assert "Scene frames 3 to 10, 0.3 s" in text
    assert "Follow the skeleton: Body" in text and "Swing as cloth: Skirt" in text
    assert "Skirt: held at the waist" in text
    assert "'Cloud' is left out: it is a point cloud" in text


def _far_cape() -> bpy.types.Object:
    """A cape half a metre behind the character: nothing near enough to hold it."""
    cape = rigs.tube("Cape", bpy.data.objects["Rig"], 0.1, 0.6, 1.2)
    for vertex in cape.data.vertices:
        vertex.co.y += 0.8
    return cape


def test_a_garment_that_nothing_holds_is_said_and_can_be_pinned(addon, part):
    rigs.character()
    _far_cape()
    bpy.ops.ani3d.bind_character()
    drawn = _draw(part, "ChecksPanel")
    assert "Cape: held by nothing" in _text(drawn)
    fixes = {button.operator for button in drawn.buttons if getattr(button, "object", "") == "Cape"}
    assert fixes == {"ani3d.paint_pins", "ani3d.pin_top_edge", "ani3d.stiffen"}
    bpy.ops.ani3d.pin_top_edge(object="Cape")
    cape = bpy.data.objects["Cape"]
    pinned = cape.vertex_groups["ani3d_pin"].index
    weights = {v.co.z: g.weight for v in cape.data.vertices for g in v.groups if g.group == pinned}
    assert weights[max(weights)] == 1 and weights[min(weights)] == 0
    text = _text(_draw(part, "ChecksPanel"))
    assert "Cape: held at the head, as painted" in text
    assert "held by nothing" not in text


def test_a_garment_can_follow_the_skeleton(addon, part):
    rigs.character()
    _far_cape().vertex_groups.new(name="ani3d_garment").add(range(108), 1.0, "REPLACE")
    bpy.ops.ani3d.bind_character()
    assert "Cape: held by nothing" in _text(_draw(part, "ChecksPanel"))
    bpy.ops.ani3d.stiffen(object="Cape")
    text = _text(_draw(part, "ChecksPanel"))
    assert "Follow the skeleton: Body, Cape" in text and "held by nothing" not in text
    shot = part("export").export_shot(bpy.context, bpy.data.objects["Rig"])
    cape = next(each for each in rigs.meta(shot)["objects"] if each["name"] == "Cape")
    assert (shot["region_ids"][cape["vertex_start"] :][: cape["vertex_count"]] <= 1).all()  # body, and face at the head


def test_the_pin_group_of_a_cloth_modifier_is_told(addon, part):
    rigs.character()
    skirt = bpy.data.objects["Skirt"]
    skirt.vertex_groups.new(name="Belt").add(range(96, 108), 1.0, "REPLACE")
    skirt.modifiers.new("Cloth", "CLOTH").settings.vertex_group_mass = "Belt"
    bpy.ops.ani3d.bind_character()
    assert "by the Cloth modifier's group 'Belt'" in _text(_draw(part, "ChecksPanel"))


@pytest.mark.parametrize(
    ("bone", "place"),
    [
        ("DEF-spine.001", "the waist"), ("mixamorig:Hips", "the waist"), ("Bip01 Neck", "the neck"),
        ("upper_arm.L", "the arms"), ("J_Bip_C_UpperChest", "the chest"), ("clavicle_l", "the shoulders"),
        ("LeftUpLeg", "the legs"), ("tail.003", "'tail.003'"), ("object:Hat", "'Hat'"),
    ],
)  # fmt: skip
def test_bones_tell_places_of_the_body(addon, part, bone, place):
    assert part("export.holds").place_of(bone) == place


def test_one_bar_shows_the_whole_job(session, part, link, monkeypatch):
    moment = part("jobs").Moment
    part("job_list").add_job(bpy.context, "7", "Rig", {"preset": "draft"})
    session.watch("7")
    session.tell(moment("7", "running", "cloth", 30, 120, 75.0))
    drawn = _draw(part, "AnimatePanel").drawn
    assert "Simulating cloth and hair" in drawn and "ani3d.cancel_job" in drawn
    assert "ani3d.animate" not in drawn
    (row,) = bpy.context.scene.ani3d.jobs
    assert row.state == "running"
    session.tell(moment("7", "failed", "refine", 30, 120, 0.0, "No room left."))
    assert (row.state, row.message) == ("failed", "No room left.")
    drawn = _draw(part, "AnimatePanel", "JobsPanel").drawn
    assert {"No room left.", "ani3d.animate", "ani3d.copy_text", "ani3d.remove_job"} <= set(drawn)


def test_cancel_is_for_the_job_that_the_bar_shows(session, part, link):
    session.watch("9")  # of another file
    session.tell(part("jobs").Moment("9", "running", "cloth", 1, 2, 1.0))
    (cancel,) = [b for b in _draw(part, "AnimatePanel").buttons if b.operator == "ani3d.cancel_job"]
    assert cancel.job == "9"


def test_a_job_of_yesterday_offers_to_start_the_engine(session, part):
    part("job_list").add_job(bpy.context, "7", "Rig", {"preset": "draft"})
    assert "ani3d.start_engine" in _draw(part, "JobsPanel").drawn
    bpy.context.scene.ani3d.jobs[0].state = "done"
    assert "ani3d.start_engine" not in _draw(part, "JobsPanel").drawn


def test_engine_words_are_in_the_folds(session, part, link):
    settings = bpy.context.scene.ani3d
    assert "prompt" not in _draw(part, "LookPanel").drawn
    settings.prior = "wan2.1-vace-1.3b"
    assert "prompt" in _draw(part, "LookPanel").drawn
    assert part("properties").known_priors() == ["compact", "none"]
    assert "0.1.0, jobs on cpu" in _draw(part, "EnginePanel").drawn


def test_fetching_is_shown_without_a_job(session, part, link, monkeypatch):
    monkeypatch.setattr(session, "transfer", part("jobs").Moment("8", "fetching", "fetch a/b.npy", 1, 4, 3.0))
    drawn = _draw(part, "AnimatePanel").drawn
    assert "Fetching the result, 3 s left" in drawn and "ani3d.animate" not in drawn


def test_an_error_stands_in_lines_that_fit_and_can_be_copied(session, part, monkeypatch):
    text = "The engine is not running. Start it with Start Engine first."
    monkeypatch.setattr(session, "error", text)
    layout = _draw(part, "AnimatePanel")
    assert text not in layout.drawn
    first = next(line for line in layout.drawn if line.startswith("The engine"))
    assert len(first) < 30  # an icon and a button stand beside it
    assert text.startswith(first)
    assert next(button for button in layout.buttons if button.operator == "ani3d.copy_text").text == text


def test_reference_and_device_are_settings_of_a_job_where_they_are_chosen(addon, part, tmp_path):
    settings, chosen = bpy.context.scene.ani3d, part("operators.job").chosen_settings
    assert not {"reference", "device"} & set(chosen(settings))
    settings.prior, settings.reference, settings.device = "wan2.1-vace-1.3b", str(tmp_path / "face.png"), "cpu"
    assert (chosen(settings)["reference"], chosen(settings)["device"]) == (str(tmp_path / "face.png"), "cpu")
    settings.prior = "compact"  # which looks at no picture of a person
    assert "reference" not in chosen(settings)


def test_a_result_has_its_time_and_says_what_lights_its_gaussians(result, part):
    bpy.ops.ani3d.import_result(directory=str(result[0]))
    for what, told in (("GAUSSIANS", True), ("MESH", False)):
        bpy.ops.ani3d.show_result(name="Rig", what=what)
        drawn = _draw(part, "JobsPanel")
        assert {"offset", "speed", "loop"} <= set(drawn.drawn)
        assert ("points" in drawn.drawn) == (told and not part("compat").draws_splats())
        assert ("lamps do not light them" in _text(drawn)) == told
