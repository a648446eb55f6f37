"""What a user can choose for a job, with presets; checked where it enters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError

from ..cloth.fabrics import FABRICS
from ..cloth.preroll import FROM_REST, WAYS_IN
from ..device import ALLOWED, AUTO, is_device
from ..models.paths import is_folder
from ..models.registry import COMPACT, known_models

NO_PRIOR = "none"  # the flat setting `prior` that leaves the coarse video as it is
BIND = "bind"  # the setting `reference` that asks for the avatar in bind pose
COARSE = ("physics", "rigid", "evaluated")
CLOTH = "cloth"
RESULTS = ("all", CLOTH)
EXACT, HALF = CACHES = ("exact", "half")
GAUSSIANS, BLENDER = PICTURES = ("gaussians", "blender")
CONTROLS = ("pose", "depth", "normal")
POSE_STYLES = ("dwpose", "vace")
RESIDUAL_FIELDS = ("dct", "hexplane")
STRENGTHS = (0.5, 0.4, 0.3)  # of restoration in the rounds after the first, at most
_OUTSIDE = {
    "layer": "coarse",
    "steps": "refine_steps",
    "height": "refine_height",
    "views": "avatar_views",
    "file": "avatar_file",
}  # flat names that differ


def _names(kind: str) -> list[str]:
    return [model.name for model in known_models().values() if model.kind == kind]


def _priors() -> str:
    return f"{', '.join(_names('prior'))}, a model's folder, or {NO_PRIOR}"


def _check(part: object, *checks: tuple[str, bool, str]) -> None:
    """Refuse the first of `checks` (attribute, whether it is good, what is allowed) that is not good."""
    for name, good, allowed in checks:
        if not good:
            raise _refused(_OUTSIDE.get(name, name), getattr(part, name), allowed)


def _refused(name: str, value: object, allowed: str) -> Ani3DError:
    return Ani3DError("settings.value", f"{name} is {value!r}.", f"Allowed for {name}: {allowed}.")


@dataclass(frozen=True)
class AvatarSettings:
    """The avatar and its pictures.

    Attributes:
        gaussians: Gaussians of the avatar.
        render_scale: picture size relative to the shot's.
        layer_videos: whether the layers before the result have videos to compare with; else what nothing else needs
            is drawn for the contact sheet alone.
        fit_steps: in which they are fitted to pictures of the mesh (docs/avatar.md); 0 leaves them as sampled.
        views: file of Blender's views to fit them to as well, or "". Outside it is called ``avatar_views``.
        file: NAME.avatar to take as it is instead, or "". Outside it is called ``avatar_file``.
    """

    gaussians: int = 80_000
    render_scale: float = 1.0
    layer_videos: bool = False
    fit_steps: int = 2400
    views: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        _check(
            self,
            ("gaussians", 100 <= self.gaussians <= 5_000_000, "100 to 5,000,000"),
            ("render_scale", 0.05 <= self.render_scale <= 4, "0.05 to 4"),
            ("fit_steps", 0 <= self.fit_steps <= 100_000, "0 to 100,000"),
        )


@dataclass(frozen=True)
class CoarseSettings:
    """The coarse layer.

    Attributes:
        layer: what is rendered and restored: "physics" lets garment and hair swing, "rigid" is the skeleton alone,
            "evaluated" the meshes as Blender showed them, which the shot must hold. Outside it is called ``coarse``.
        fabric: name of the garment's fabric, see `ani3dhuman.cloth.fabrics.FABRICS`.
        floor: cloth meets a floor at the lowest point of the body, unless the scene has one there.
        way_in: how cloth gets into the first frame: from the "rest" pose, "settled" in the first pose, or "none": it
            begins as the skeleton has it.
        loop: the motion runs in a circle, and cloth ends where it begins.
        pictures: of the layer, what restoration starts from: "gaussians" drawn here, or "blender": those that Blender
            rendered and that came with the shot (docs/blender_pictures.md).
    """

    layer: str = "physics"
    fabric: str = "generic"
    floor: bool = True
    way_in: str = FROM_REST
    loop: bool = False
    pictures: str = GAUSSIANS

    def __post_init__(self) -> None:
        _check(
            self,
            ("way_in", self.way_in in WAYS_IN, ", ".join(WAYS_IN)),
            ("layer", self.layer in COARSE, ", ".join(COARSE)),
            ("pictures", self.pictures in PICTURES, ", ".join(PICTURES)),
            ("fabric", self.fabric in FABRICS, ", ".join(FABRICS)),
        )


@dataclass(frozen=True)
class RestoreSettings:
    """Restoration by a prior.

    Attributes:
        prior: what restores the coarse video: the name of a prior of the registry (`ani3dhuman models list`), the
            folder of a video model in diffusers' layout or of a prior trained at home, or None, which leaves the video
            as it is. Outside it is text, and "none" for None.
        strength: how far restoration may leave the coarse video, 0..1 (METHOD: strength).
        repair: for a coarse layer with faults, such as cloth that exploded in Blender: cloth is simulated anew on the
            skeleton, and restoration and refinement move that; of the coarse layer only where sampling starts is kept.
        sampling_steps: steps of the full noise schedule; strength takes its share of them.
        guidance: self-guidance scale s.
    """

    prior: str | Path | None = COMPACT
    strength: float = 0.7
    repair: bool = False
    sampling_steps: int = 10
    guidance: float = 0.05

    def __post_init__(self) -> None:
        _check(
            self,
            ("prior", not isinstance(self.prior, str) or self.prior in _names("prior"), _priors()),
            ("strength", 0 < self.strength <= 1, "above 0, at most 1"),
            ("repair", not self.repair or self.prior is not None, "false without a prior; coarse='physics' needs none"),
            ("sampling_steps", 1 <= self.sampling_steps <= 1000, "1 to 1000"),
            ("guidance", 0 <= self.guidance <= 1, "0 to 1"),
        )

    def check_prior(self) -> None:
        """Raise ``settings.value`` where `prior` is a folder in which no model lies."""
        if isinstance(self.prior, Path) and not is_folder(self.prior):
            raise _refused("prior", str(self.prior), _priors())


@dataclass(frozen=True)
class ConditionSettings:
    """Inputs of priors that read the scene.

    Attributes:
        prompt, negative_prompt: for priors that read text; "" takes the scene's own (`scene_conditions`).
        control: what such priors see beside the coarse video: "pose", "depth" or "normal".
        pose_style: how poses are drawn: "dwpose", or "vace" for its own annotator's way (docs/conditions.md).
        keypoint_map: JSON file that says which bone is which keypoint, for rigs whose names are unknown; "" for none.
        reference: who the person is: a picture file, "bind" for the avatar in bind pose, "" for the first coarse frame.
    """

    prompt: str = ""
    negative_prompt: str = ""
    control: str = "pose"
    pose_style: str = "dwpose"
    keypoint_map: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        _check(
            self,
            ("control", self.control in CONTROLS, ", ".join(CONTROLS)),
            ("pose_style", self.pose_style in POSE_STYLES, ", ".join(POSE_STYLES)),
        )

    @property
    def reference_file(self) -> Path | None:
        """The picture of the person, where `reference` names one."""
        return None if self.reference in ("", BIND) else Path(self.reference)


@dataclass(frozen=True)
class VideoModelSettings:
    """How a large video model runs.

    Attributes:
        text_guidance: classifier-free guidance scale; 1 leaves the negative prompt out.
        adapter: a few-step adapter of the registry, or ""; it sets `sampling_steps` and `text_guidance` itself.
        window_frames: 4k + 1 frames that it takes at once; fewer need less memory.
        step_cache: it computes its layers at every n-th step and extrapolates between; 1 computes all.
        measure_cache: the error of the step cache is measured and reported first.
        compile_blocks: have torch.compile translate it: minutes at first, then faster steps.
    """

    text_guidance: float = 5.0
    adapter: str = ""
    window_frames: int = 81
    step_cache: int = 1
    measure_cache: bool = False
    compile_blocks: bool = False

    def __post_init__(self) -> None:
        _check(
            self,
            ("text_guidance", 1 <= self.text_guidance <= 30, "1 to 30"),
            ("window_frames", self.window_frames > 4 and self.window_frames % 4 == 1, "4k + 1, such as 81, 49 or 33"),
            ("step_cache", 1 <= self.step_cache <= 10, "1 to 10"),
            ("adapter", self.adapter in ("", *_names("lora")), ", ".join(_names("lora"))),
        )


@dataclass(frozen=True)
class RefineSettings:
    """Refinement: the residual field fitted to the restored video.

    Attributes:
        steps: optimisation steps of the residual field; 0 leaves it at zero. Outside it is called ``refine_steps``.
        height: picture height used for fitting, pixels. Outside it is called ``refine_height``.
        rounds: of restoring and refining, 1 to 4: each further one restores what the last one made, from more sides
            (`refinement.RoundsConfig`).
        round_minutes: of refinement; no further round is started that would not end by then.
        field: which residual field is fitted, see `ani3dhuman.fields.build.FIELDS`.
        appearance: whether refinement also changes size, opacity and colour of garment and hair Gaussians, for priors
            whose pictures hold shading that the avatar's own light lacks.
    """

    steps: int = 400
    height: int = 416
    rounds: int = 1
    round_minutes: float = 60.0
    field: str = "dct"
    appearance: bool = False

    def __post_init__(self) -> None:
        _check(
            self,
            ("steps", 0 <= self.steps <= 100_000, "0 to 100,000"),
            ("height", 32 <= self.height <= 4096, "32 to 4096"),
            ("rounds", 1 <= self.rounds <= 1 + len(STRENGTHS), f"1 to {1 + len(STRENGTHS)}"),
            ("round_minutes", 0 < self.round_minutes <= 10_000, "above 0, at most 10,000"),
            ("field", self.field in RESIDUAL_FIELDS, ", ".join(RESIDUAL_FIELDS)),
        )


@dataclass(frozen=True)
class Settings:
    """Choices of one job, by stage; building them reads nothing from the disk.

    Outside (on the wire, in the add-on, as ``--set NAME=VALUE``, in reports and caches) they are one flat dict of JSON
    values, named as the attributes are but for those of `_OUTSIDE`.

    Attributes:
        seed: of every random choice.
        result: "all", or "cloth" for the moved meshes alone: no avatar, no pictures, no restoration.
        cache: how exact the result's Gaussians are kept: "exact", or "half": all but positions in half precision.
        device: what computes: "auto", "cpu", "cuda" or "cuda:N", see `ani3dhuman.device`.
    """

    avatar: AvatarSettings = AvatarSettings()
    coarse: CoarseSettings = CoarseSettings()
    restore: RestoreSettings = RestoreSettings()
    conditions: ConditionSettings = ConditionSettings()
    video_model: VideoModelSettings = VideoModelSettings()
    refine: RefineSettings = RefineSettings()
    seed: int = 0
    result: str = "all"
    cache: str = EXACT
    device: str = AUTO

    def __post_init__(self) -> None:
        _check(
            self,
            ("result", self.result in RESULTS, ", ".join(RESULTS)),
            ("cache", self.cache in CACHES, ", ".join(CACHES)),
            ("device", is_device(self.device), ALLOWED),
        )

    def to_dict(self) -> dict[str, Any]:
        """All choices as a flat dict of JSON values."""
        flat: dict[str, Any] = {}
        for name, (group, attribute) in _places().items():
            value = getattr(getattr(self, group) if group else self, attribute)
            flat[name] = value if name != "prior" else NO_PRIOR if value is None else str(value)
        return flat

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from a flat dict; ``preset`` names a starting point, other entries override it.

        Raises:
            Ani3DError: ``settings.unknown``, ``settings.type`` or ``settings.value``.
        """
        rest = dict(values)
        preset = rest.pop("preset", "preview")
        if preset not in PRESETS:
            raise Ani3DError(
                "settings.value", f"There is no preset {preset!r}.", f"Known presets: {', '.join(PRESETS)}."
            )
        known = cls().to_dict()
        for name, value in rest.items():
            if name not in known:
                raise Ani3DError(
                    "settings.unknown", f"There is no setting {name!r}.", f"Known settings: {', '.join(known)}."
                )
            rest[name] = _as_type(name, value, type(known[name]))
        return cls().changed(**{**PRESETS[preset], **rest})

    def changed(self, **values: Any) -> Settings:
        """These settings with some changed, by their flat names and as JSON values of the right types."""
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, attribute = _places()[name]
            groups.setdefault(group, {})[attribute] = _prior(value) if name == "prior" else value
        alone = groups.pop("", {})
        return replace(self, **alone, **{group: replace(getattr(self, group), **new) for group, new in groups.items()})


@cache
def _places() -> dict[str, tuple[str, str]]:
    """Group ("" for none) and attribute of each flat name."""
    places: dict[str, tuple[str, str]] = {}
    for part in fields(Settings):
        inner = fields(part.default) if is_dataclass(part.default) else ()
        places |= {_OUTSIDE.get(entry.name, entry.name): (part.name, entry.name) for entry in inner}
        if not inner:
            places[part.name] = ("", part.name)
    return places


def _prior(text: str) -> str | Path | None:
    """The prior that a flat setting names: of the registry, a folder, or none; "" stays, to be refused."""
    if text == NO_PRIOR:
        return None
    return text if not text or text in _names("prior") else Path(text)


def _as_type(name: str, value: Any, wanted: type) -> Any:
    """The value as the setting's type; an integer serves as a float, nothing else is converted."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise Ani3DError("settings.type", f"{name} is {value!r}.", f"Give {name} as {wanted.__name__}.")
    return value


PRESETS: dict[str, dict[str, Any]] = {
    "cloth": {"result": CLOTH},
    "draft": {
        "gaussians": 20_000,
        "render_scale": 0.5,
        "fit_steps": 0,
        "sampling_steps": 4,
        "refine_steps": 40,
        "refine_height": 160,
    },
    "preview": {},
    "final": {
        "layer_videos": True,
        "gaussians": 150_000,
        "fit_steps": 3400,
        "refine_steps": 2800,
        "refine_height": 832,
    },
}
