"""The video priors of Wan: text-to-video models that follow a control video and a reference picture.

The coarse clip is rendered, laid out as Wan's video (`layout`), and becomes VAE latents (`vae`), from which the
sampler starts. The transformer sees beside them what the kind of Wan makes of the control video, and the prompt
(`video.prompts`). `WanVacePrior` runs the networks of diffusers' `WanVACEPipeline` (`networks`) and gives that
pipeline's results; a reference picture is one more latent frame in front of every window, an anchor.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ...clip import CoarseClip, RestoredClip
from ...rendering.layers import Pictures
from ...storage.checkpoint import fingerprint
from ..conditions.latent_mask import latent_mask, with_reference_frames
from ..conditions.reference import fit_reference
from ..conditions.scene import chosen_mask
from ..prior import EncodedClip
from ..video.layout import VideoLayout
from ..video.prompts import PromptEncoder
from ..video.vae import as_batch, as_frames, as_video
from . import step_cache
from .layout import PERIOD, WAN_PIXELS, WAN_RATE, wan_layout
from .networks import TRAIN_TIMESTEPS, WanModels
from .vae import WanVae, control_latents


@dataclass(frozen=True)
class WanConditions:
    """Inputs of the prior besides the clip.

    Attributes:
        control: (T,H,W,3) uint8 pose (or depth, normal) drawings, one a frame of the clip and of its size, or what
            makes them of the clip.
        prompt: what the video shows, English.
        negative_prompt: what it does not show.
        reference: (h,w,3) uint8 sRGB, the person; another size is fitted to the clip over its background.
        preserve: (T,H,W) 0..1, 1 where the clip must stay; None takes body and face as the clip shows them.
    """

    control: np.ndarray | Callable[[CoarseClip], np.ndarray]
    prompt: str
    negative_prompt: str = ""
    reference: np.ndarray | None = None
    preserve: np.ndarray | None = None


@dataclass(frozen=True)
class WanOptions:
    """How the prior runs.

    Attributes:
        guidance: classifier-free guidance scale g, v = v_neg + g (v_pos - v_neg); 1 leaves the negative pass out.
        batch_guidance: both passes as one batch: faster on a large card, twice the activations.
        window_frames: 4k + 1 video frames that the transformer takes at once.
        frame_rate: of the video; None takes the scene's frames as they are.
        max_pixels: of a video frame; larger scenes are restored smaller and scaled back.
    """

    guidance: float = 5.0
    batch_guidance: bool = False
    window_frames: int = 81
    frame_rate: float | None = WAN_RATE
    max_pixels: int = WAN_PIXELS

    def __post_init__(self) -> None:
        if self.window_frames < 1 or self.window_frames % PERIOD != 1:
            raise Ani3DError(
                "restoration.window",
                f"A window of {self.window_frames} frames does not fit Wan's VAE.",
                "Use 4k + 1 frames, such as 81, 49 or 33.",
            )
        if not self.guidance >= 1.0:
            raise Ani3DError(
                "restoration.guidance", f"Guidance {self.guidance} is below 1.", "Use 5, or 1 for no guidance."
            )


@dataclass(frozen=True)
class _Sources:
    """All that a clip's encoding is made of, for its key."""

    models: str
    pictures: Pictures
    preserve: np.ndarray
    control: np.ndarray
    reference: np.ndarray | None
    positive: torch.Tensor
    negative: torch.Tensor | None
    layout: VideoLayout


class WanPrior(ABC):
    """`VideoPrior` of a kind of Wan; latents are those of its VAE, normalised.

    Args:
        models: the networks.
        prompts: the text encoder.
        conditions: of the clip that is to be restored.
        options: how to run.
        notes: for the report: what the prior was loaded as.

    Attributes:
        name: for the report.
        anchored: whether a reference picture is a latent frame in front of every window.
    """

    name: ClassVar[str]
    anchored: ClassVar[bool]

    def __init__(
        self,
        models: WanModels,
        prompts: PromptEncoder,
        conditions: WanConditions,
        options: WanOptions | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.models = models
        self.prompts = prompts
        self.conditions = conditions
        self.options = options or WanOptions()
        self.vae = WanVae(models.vae, models.device)
        self.notes = dict(notes or {})

    @property
    def window(self) -> int:
        return 1 + (self.options.window_frames - 1) // PERIOD

    @cached_property
    def embeddings(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Of prompt and negative prompt, (1,L,D) each; the latter None without guidance."""
        if self.options.guidance == 1.0:
            return self.prompts.encode([self.conditions.prompt])[0], None
        positive, negative = self.prompts.encode([self.conditions.prompt, self.conditions.negative_prompt])
        return positive, negative

    @abstractmethod
    def seen(
        self, control: torch.Tensor, reference: torch.Tensor | None, progress: Progress | None = None
    ) -> torch.Tensor:
        """Conditions (1,K,R+T',h,w) of a control video (1,3,T,h,w) in -1..1 and reference latents (1,16,1,h,w)."""

    @abstractmethod
    def predict(
        self, expert: Any, latents: torch.Tensor, timestep: torch.Tensor, texts: torch.Tensor, conditions: torch.Tensor
    ) -> torch.Tensor:
        """Velocity (B,16,R+W,h,w) of a transformer for latents of that shape, on its device and in its precision."""

    def encode(self, clip: CoarseClip, progress: Progress | None = None) -> EncodedClip:
        """Latents (R+T',16,h,w), R = 1 with an anchor, preserved there; conditions (R+T',K,h,w).

        The prompts come first, so that the text encoder is gone before the video is touched.

        Raises:
            Ani3DError: ``restoration.control_size``, ``restoration.mask_size``: control or mask are not of the clip's
                size; ``restoration.prompt_length``.
        """
        step_cache.reset(self.models)
        layout = self._layout(clip)
        control, reference = self._control(clip), self._reference(clip)
        positive, negative = self.embeddings
        layer = clip.coarse_pictures()
        preserve = chosen_mask(self.conditions.preserve, layer)

        latents = self.vae.encode(as_video(layout.pictures(layer.rgb)), progress)
        mask = latent_mask(torch.from_numpy(layout.mask(preserve)), self.vae.spatial, PERIOD)[None, None]
        front = None
        if reference is not None:
            front = self.vae.encode(as_video(layout.still(reference)[None]), progress)
            if self.anchored:
                latents, mask = with_reference_frames(latents, mask, front)
        conditions = self.seen(as_video(layout.drawings(control)), front, progress)
        texts = positive.float(), None if negative is None else negative.float()
        sources = _Sources(self.models.key, layer.rgb, preserve, control, reference, *texts, layout)
        return EncodedClip(
            as_frames(latents),
            as_frames(mask),
            as_frames(conditions),
            layout,
            anchors=0 if front is None or not self.anchored else front.shape[2],
            key="" if self.models.transformer.is_cache_enabled else fingerprint(sources, self.options),
        )

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        """Wan was trained with white noise."""
        return white

    @torch.no_grad()
    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        """Velocity (R+W,16,h,w) of one window with its reference frame; with two experts sigma says which one."""
        expert = self.models.expert(sigma)
        positive, negative = self.embeddings
        device, dtype = self.models.device, expert.dtype

        def predict(*texts: torch.Tensor, called: str) -> torch.Tensor:
            count = len(texts)
            window = _window_name(conditions) if expert.is_cache_enabled else ""  # a step cache keeps windows apart
            with expert.cache_context(f"{called} {window}"):
                return self.predict(
                    expert,
                    as_batch(latents).to(device, dtype).expand(count, -1, -1, -1, -1),
                    (torch.tensor([sigma]) * TRAIN_TIMESTEPS).to(device).expand(count),
                    torch.cat(texts).to(device, dtype),
                    as_batch(conditions).to(device, dtype).expand(count, -1, -1, -1, -1),
                ).float()

        if negative is None:
            return as_frames(predict(positive, called="positive")).to(latents)
        if self.options.batch_guidance:
            wanted, unwanted = predict(positive, negative, called="both").split(1)
        else:
            wanted, unwanted = predict(positive, called="positive"), predict(negative, called="negative")
        return as_frames(unwanted + self.options.guidance * (wanted - unwanted)).to(latents)

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None = None
    ) -> RestoredClip:
        """The video, cut, scaled and timed back to the clip's own frames; coverage and mesh stay unknown."""
        layout: VideoLayout = encoded.context
        video = self.vae.decode(as_batch(latents[encoded.anchors :]), progress)
        report = {
            "prior": self.name,
            "video_size": [layout.video_width, layout.video_height],
            "video_frames": layout.video_frames,
            "video_fps": round(clip.fps / layout.step, 3),
            "guidance": self.options.guidance,
            **self.notes,
        }
        return RestoredClip(layout.scene_video(video, progress), None, None, report)

    def _layout(self, clip: CoarseClip) -> VideoLayout:
        return wan_layout(
            clip.frames,
            clip.fps,
            clip.cameras.width,
            clip.cameras.height,
            frame_rate=self.options.frame_rate,
            max_pixels=self.options.max_pixels,
            multiple=self.vae.spatial * self.models.transformer.config.patch_size[1],
        )

    def _control(self, clip: CoarseClip) -> np.ndarray:
        given = self.conditions.control
        control = given(clip) if callable(given) else given
        wanted = (clip.frames, clip.cameras.height, clip.cameras.width, 3)
        if control.shape != wanted or control.dtype != np.uint8:
            raise Ani3DError(
                "restoration.control_size",
                f"The control video is {control.dtype} {control.shape}, expected uint8 {wanted}.",
                "Draw it for every frame of the clip at the clip's size.",
            )
        return control

    def _reference(self, clip: CoarseClip) -> np.ndarray | None:
        picture = self.conditions.reference
        if picture is None:
            return None
        return fit_reference(picture, clip.cameras.width, clip.cameras.height, clip.background)


class WanVacePrior(WanPrior):
    """`VideoPrior` of Wan VACE."""

    name = "wan-vace"
    anchored = True

    def seen(
        self, control: torch.Tensor, reference: torch.Tensor | None, progress: Progress | None = None
    ) -> torch.Tensor:
        return control_latents(self.vae, control, reference, progress)

    def predict(
        self, expert: Any, latents: torch.Tensor, timestep: torch.Tensor, texts: torch.Tensor, conditions: torch.Tensor
    ) -> torch.Tensor:
        velocity: torch.Tensor = expert(
            hidden_states=latents,
            timestep=timestep,
            encoder_hidden_states=texts,
            control_hidden_states=conditions,
            return_dict=False,
        )[0]
        return velocity


def _window_name(conditions: torch.Tensor) -> str:
    """A short name for a window: the hash of its conditions."""
    return hashlib.sha256(conditions.contiguous().numpy().tobytes()).hexdigest()[:16]
