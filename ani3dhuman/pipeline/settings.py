"""What a user can choose for a job, with presets; checked where it enters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ani3d_formats.errors import Ani3DError

from ..cloth.fabrics import FABRICS
from ..models.paths import is_folder
from ..models.registry import known_models

NO_PRIOR = "none"
COARSE = ("physics", "rigid", "evaluated")
CONTROLS = ("pose", "depth", "normal")
POSE_STYLES = ("dwpose", "vace")
RESIDUAL_FIELDS = ("dct", "hexplane")
STRENGTHS = (0.5, 0.4, 0.3)  # of restoration in the rounds after the first, at most


@dataclass(frozen=True)
class Settings:
    """Choices of one job.

    Attributes:
        gaussians: Gaussians of the avatar.
        render_scale: picture size relative to the shot's.
        coarse: what is rendered and restored: "physics" lets garment and hair swing, "rigid" is the skeleton alone,
            "evaluated" the meshes as Blender showed them, which the shot must hold.
        fabric: name of the garment's fabric, see `ani3dhuman.cloth.fabrics.FABRICS`.
        prior: what restores the coarse video: a prior of the registry (`ani3dhuman models list`), the folder of a Wan
            VACE model in diffusers' layout or of a prior trained at home, or ``"none"``, which leaves it as it is.
        strength: how far restoration may leave the coarse video, 0..1 (METHOD: strength).
        repair: for a coarse layer with faults, such as cloth that exploded in Blender: cloth is simulated anew on the
            skeleton, and restoration and refinement move that; of the coarse layer only where sampling starts is kept.
        sampling_steps: steps of the full noise schedule; strength takes its share of them.
        guidance: self-guidance scale s.
        prompt, negative_prompt: for priors that read text; "" takes the scene's own (`scene_conditions`).
        control: what such priors see beside the coarse video: "pose", "depth" or "normal".
        pose_style: how poses are drawn: "dwpose", or "vace" for its own annotator's way (docs/conditions.md).
        keypoint_map: JSON file that says which bone is which keypoint, for rigs whose names are unknown; "" for none.
        reference: who the person is: a picture file, "bind" for the avatar in bind pose, "" for the first coarse frame.
        text_guidance: classifier-free guidance scale; 1 leaves the negative prompt out.
        adapter: a few-step adapter of the registry, or ""; it sets `sampling_steps` and `text_guidance` itself.
        window_frames: 4k + 1 frames that a large prior takes at once; fewer need less memory.
        step_cache: a large prior computes its layers at every so many-th step only and foretells them between; 1
            computes all. `measure_cache` has the error of that measured and reported first.
        compile_blocks: have torch.compile translate a large prior: minutes at first, then faster steps.
        refine_steps: optimisation steps of the residual field; 0 leaves it at zero.
        refine_height: picture height used for fitting, pixels.
        rounds: of restoring and refining, 1 to 4: each further one restores what the last one made, from more sides
            (`refinement.RoundsConfig`).
        round_minutes: of refinement; no further round is started that would not end by then.
        field: which residual field is fitted, see `ani3dhuman.fields.build.FIELDS`.
        appearance: whether refinement also changes size, opacity and colour of garment and hair Gaussians, for priors
            whose pictures hold shading that the avatar's own light lacks.
        seed: of every random choice.
    """

    gaussians: int = 80_000
    render_scale: float = 1.0
    coarse: str = "physics"
    fabric: str = "cotton"
    prior: str = "compact"
    strength: float = 0.7
    repair: bool = False
    sampling_steps: int = 10
    guidance: float = 0.05
    prompt: str = ""
    negative_prompt: str = ""
    control: str = "pose"
    pose_style: str = "dwpose"
    keypoint_map: str = ""
    reference: str = ""
    text_guidance: float = 5.0
    adapter: str = ""
    window_frames: int = 81
    step_cache: int = 1
    measure_cache: bool = False
    compile_blocks: bool = False
    refine_steps: int = 400
    refine_height: int = 416
    rounds: int = 1
    round_minutes: float = 60.0
    field: str = "dct"
    appearance: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            ("gaussians", 100 <= self.gaussians <= 5_000_000, "100 to 5,000,000"),
            ("render_scale", 0.05 <= self.render_scale <= 4, "0.05 to 4"),
            ("fabric", self.fabric in FABRICS, ", ".join(FABRICS)),
            ("coarse", self.coarse in COARSE, ", ".join(COARSE)),
            ("prior", _is_prior(self.prior), f"{', '.join(_names('prior'))}, a model's folder, or {NO_PRIOR}"),
            ("strength", 0 < self.strength <= 1, "above 0, at most 1"),
            ("repair", not self.repair or self.prior != NO_PRIOR, "false without a prior; coarse='physics' needs none"),
            ("sampling_steps", 1 <= self.sampling_steps <= 1000, "1 to 1000"),
            ("guidance", 0 <= self.guidance <= 1, "0 to 1"),
            ("control", self.control in CONTROLS, ", ".join(CONTROLS)),
            ("pose_style", self.pose_style in POSE_STYLES, ", ".join(POSE_STYLES)),
            ("text_guidance", 1 <= self.text_guidance <= 30, "1 to 30"),
            ("window_frames", self.window_frames > 4 and self.window_frames % 4 == 1, "4k + 1, such as 81, 49 or 33"),
            ("step_cache", 1 <= self.step_cache <= 10, "1 to 10"),
            ("adapter", self.adapter in ("", *_names("lora")), ", ".join(_names("lora"))),
            ("refine_steps", 0 <= self.refine_steps <= 100_000, "0 to 100,000"),
            ("refine_height", 32 <= self.refine_height <= 4096, "32 to 4096"),
            ("rounds", 1 <= self.rounds <= 1 + len(STRENGTHS), f"1 to {1 + len(STRENGTHS)}"),
            ("round_minutes", 0 < self.round_minutes <= 10_000, "above 0, at most 10,000"),
            ("field", self.field in RESIDUAL_FIELDS, ", ".join(RESIDUAL_FIELDS)),
        )
        for name, good, allowed in checks:
            if not good:
                raise Ani3DError(
                    "settings.value", f"{name} is {getattr(self, name)!r}.", f"Allowed for {name}: {allowed}."
                )

    def to_dict(self) -> dict[str, Any]:
        """All choices as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """Settings from a dict; ``preset`` names a starting point, other entries override it.

        Raises:
            Ani3DError: ``settings.unknown``, ``settings.type`` or ``settings.value``.
        """
        rest = dict(values)
        preset = rest.pop("preset", "preview")
        if preset not in PRESETS:
            raise Ani3DError(
                "settings.value", f"There is no preset {preset!r}.", f"Known presets: {', '.join(PRESETS)}."
            )
        known = {f.name: f.default for f in fields(cls)}
        for name, value in rest.items():
            if name not in known:
                raise Ani3DError(
                    "settings.unknown", f"There is no setting {name!r}.", f"Known settings: {', '.join(known)}."
                )
            rest[name] = _as_type(name, value, type(known[name]))
        return cls(**{**PRESETS[preset], **rest})


def _names(kind: str) -> list[str]:
    return [model.name for model in known_models().values() if model.kind == kind]


def _is_prior(name: str) -> bool:
    return name in (NO_PRIOR, *_names("prior")) or is_folder(name)


def _as_type(name: str, value: Any, wanted: type) -> Any:
    """The value as the setting's type; an integer serves as a float, nothing else is converted."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise Ani3DError("settings.type", f"{name} is {value!r}.", f"Give {name} as {wanted.__name__}.")
    return value


PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"gaussians": 20_000, "render_scale": 0.5, "sampling_steps": 4, "refine_steps": 40, "refine_height": 160},
    "preview": {},
    "final": {"gaussians": 150_000, "refine_steps": 2800, "refine_height": 832},
}
