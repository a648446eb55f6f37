"""The video prior LTX-Video: a text-to-video model of 2 billion parameters, the example of docs/extending_video.md.

It runs the networks of diffusers' `LTXConditionPipeline` (LTX-Video 0.9.5 and later, arXiv:2501.00103) and gives that
pipeline's results. A latent is 32 x 32 pixels of 8 frames, and each is one token of the transformer.

Its inputs are the prompt and the clip's frame rate, nothing else. It has none for a pose, depth or normal video: the
motion comes from the coarse clip alone, whose latents the sampler starts from and is drawn back to. Nor does it take a
reference picture: what LTX-Video takes are frames of the video itself, and a portrait is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ...clip import CoarseClip, RestoredClip
from ...rendering.layers import Pictures
from ...storage.checkpoint import fingerprint
from ..conditions.latent_mask import latent_mask
from ..conditions.scene import chosen_mask
from ..prior import EncodedClip
from ..video.layout import VideoLayout, video_layout
from ..video.prompts import PromptEncoder
from ..video.vae import as_batch, as_frames, as_video, cancellable

LTX_PIXELS = 704 * 1280  # the makers advise to stay below 720 x 1280
TRAIN_TIMESTEPS = 1000  # the timestep that LTX-Video calls sigma = 1


@dataclass(frozen=True)
class LtxConditions:
    """Inputs of the prior besides the clip.

    Attributes:
        prompt: what the video shows, English.
        negative_prompt: what it does not show.
        preserve: (T,H,W) 0..1, 1 where the clip must stay; None takes body and face as the clip shows them.
    """

    prompt: str
    negative_prompt: str = ""
    preserve: np.ndarray | None = None


@dataclass(frozen=True)
class LtxOptions:
    """How the prior runs.

    Attributes:
        guidance: classifier-free guidance scale g, v = v_neg + g (v_pos - v_neg); 1 leaves the negative pass out.
        window_frames: 8k + 1 video frames that the transformer takes at once.
        max_pixels: of a video frame; larger scenes are restored smaller and scaled back.
        decode_noise, decode_timestep: LTX-Video's decoder takes the last step of denoising itself: how much noise its
            latents get, and the timestep it is given; unused by decoders that are not made for it.
    """

    guidance: float = 3.0
    window_frames: int = 121
    max_pixels: int = LTX_PIXELS
    decode_noise: float = 0.025
    decode_timestep: float = 0.05

    def __post_init__(self) -> None:
        if not self.guidance >= 1.0:
            raise Ani3DError(
                "restoration.guidance", f"Guidance {self.guidance} is below 1.", "Use 3, or 1 for no guidance."
            )


@dataclass(frozen=True)
class LtxModels:
    """What the prior runs.

    Attributes:
        vae: `AutoencoderKLLTXVideo`.
        transformer: `LTXVideoTransformer3DModel`.
        device: where they compute.
        key: hash of what is loaded, see `models_key`.
    """

    vae: Any
    transformer: Any
    device: torch.device
    key: str


@dataclass(frozen=True)
class _Sources:
    """All that a clip's encoding is made of, for its key."""

    models: str
    pictures: Pictures
    preserve: np.ndarray
    positive: torch.Tensor
    negative: torch.Tensor | None
    layout: VideoLayout


class LtxPrior:
    """`VideoPrior` of LTX-Video; latents are those of its VAE, normalised.

    Args:
        models: the networks.
        prompts: the text encoder.
        conditions: of the clip that is to be restored.
        options: how to run.
        notes: for the report: what the prior was loaded as.

    Raises:
        Ani3DError: ``restoration.window``: the window does not fit the VAE; ``restoration.ltx_patch``: the transformer
            takes patches of latents, as no LTX-Video does.
    """

    def __init__(
        self,
        models: LtxModels,
        prompts: PromptEncoder,
        conditions: LtxConditions,
        options: LtxOptions | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.models = models
        self.prompts = prompts
        self.conditions = conditions
        self.options = options or LtxOptions()
        self.notes = notes or {}
        self.spatial = int(models.vae.spatial_compression_ratio)  # pixels a latent is wide and high
        self.period = int(models.vae.temporal_compression_ratio)  # frames that share a latent, after the first
        if self.options.window_frames < 1 or (self.options.window_frames - 1) % self.period:
            raise Ani3DError(
                "restoration.window",
                f"A window of {self.options.window_frames} frames does not fit LTX-Video's VAE.",
                f"Use {self.period}k + 1 frames, such as {12 * self.period + 1}.",
            )
        if (models.transformer.config.patch_size, models.transformer.config.patch_size_t) != (1, 1):
            raise Ani3DError(
                "restoration.ltx_patch",
                "This transformer takes patches of latents as tokens.",
                "Use a model whose tokens are single latents, such as LTX-Video-0.9.5.",
            )

    @property
    def window(self) -> int:
        return 1 + (self.options.window_frames - 1) // self.period

    @cached_property
    def embeddings(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Of prompt and negative prompt, (1,L,D) each; the latter None without guidance.

        Tokens behind a prompt's end are cut off, where the pipeline masks them.
        """
        texts = [self.conditions.prompt]
        if self.options.guidance != 1.0:
            texts.append(self.conditions.negative_prompt)
        cut = [text[:, text[0].any(-1)] for text in self.prompts.encode(texts)]
        return cut[0], cut[1] if len(cut) > 1 else None

    def encode(self, clip: CoarseClip, progress: Progress | None = None) -> EncodedClip:
        """Latents (T',128,h,w), preserved where any of a latent's pixels is; conditions (T',1,h,w): the frame rate.

        Raises:
            Ani3DError: ``restoration.mask_size``: the mask is not of the clip's size; ``restoration.prompt_length``.
        """
        positive, negative = self.embeddings
        layout = video_layout(
            clip.frames,
            clip.fps,
            clip.cameras.width,
            clip.cameras.height,
            frame_rate=None,  # the rate is an input of the network
            max_pixels=self.options.max_pixels,
            multiple=self.spatial,
            period=self.period,
        )
        layer = clip.coarse_pictures()
        preserve = chosen_mask(self.conditions.preserve, layer)
        latents = as_frames(self._to_latents(as_video(layout.pictures(layer.rgb)), progress))
        mask = latent_mask(torch.from_numpy(layout.mask(preserve)), self.spatial, self.period)[:, None]
        texts = positive.float(), None if negative is None else negative.float()
        return EncodedClip(
            latents,
            mask,
            conditions=torch.full_like(mask, clip.fps),
            context=layout,
            key=fingerprint(_Sources(self.models.key, layer.rgb, preserve, *texts, layout), self.options),
        )

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        """LTX-Video was trained with white noise."""
        return white

    @torch.no_grad()
    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        """Velocity (W,128,h,w) of one window; its time begins at 0, as in diffusers' own pipeline for long videos."""
        network, device = self.models.transformer, self.models.device
        tokens = as_batch(latents).flatten(2).transpose(1, 2).to(device, network.dtype)  # (1,W h w,128)
        frames, _, rows, columns = latents.shape
        places = self._places(frames, rows, columns, float(conditions[0, 0, 0, 0])).to(device)

        def predict(text: torch.Tensor) -> torch.Tensor:
            velocity = network(
                hidden_states=tokens,
                encoder_hidden_states=text.to(device, network.dtype),
                encoder_attention_mask=None,
                timestep=torch.tensor([[sigma * TRAIN_TIMESTEPS]], device=device),
                video_coords=places,
                return_dict=False,
            )[0].float()
            return as_frames(velocity.transpose(1, 2).unflatten(2, (frames, rows, columns)))

        positive, negative = self.embeddings
        wanted = predict(positive)
        if negative is not None:
            unwanted = predict(negative)
            wanted = unwanted + self.options.guidance * (wanted - unwanted)
        return wanted.to(latents)

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None = None
    ) -> RestoredClip:
        """The video, cut and scaled back to the clip's own frames; coverage and mesh stay unknown."""
        layout: VideoLayout = encoded.context
        video = self._to_video(as_batch(latents), progress)
        report = {
            "prior": "ltx-video",
            "video_size": [layout.video_width, layout.video_height],
            "video_frames": layout.video_frames,
            "guidance": self.options.guidance,
            **self.notes,
        }
        return RestoredClip(layout.scene_video(video, progress), None, None, report)

    @torch.no_grad()
    def _to_latents(self, video: torch.Tensor, progress: Progress | None) -> torch.Tensor:
        """Normalised latents (1,128,T',h,w) on the CPU of video (1,3,T,H,W) in -1..1; may raise `Cancelled`."""
        vae = self.models.vae
        with cancellable(progress, *vae.encoder.down_blocks, vae.encoder.mid_block):
            latents = vae.encode(video.to(self.models.device, vae.dtype)).latent_dist.mode().float().cpu()
        mean, deviation = self._statistics
        return (latents - mean) / deviation

    @torch.no_grad()
    def _to_video(self, latents: torch.Tensor, progress: Progress | None) -> torch.Tensor:
        """Video (1,3,T,H,W) in -1..1 on the CPU; the noise that the decoder asks for is always the same."""
        vae, timestep = self.models.vae, None
        mean, deviation = self._statistics
        latents = latents * deviation + mean
        if vae.config.timestep_conditioning:
            noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
            latents = (1 - self.options.decode_noise) * latents + self.options.decode_noise * noise
            timestep = torch.tensor([self.options.decode_timestep]).to(self.models.device, vae.dtype)
        with cancellable(progress, vae.decoder.mid_block, *vae.decoder.up_blocks):
            return vae.decode(latents.to(self.models.device, vae.dtype), timestep, return_dict=False)[0].float().cpu()

    @property
    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of raw latents, (128,1,1,1) each."""
        vae = self.models.vae
        mean, deviation = (t.detach().float().cpu()[:, None, None, None] for t in (vae.latents_mean, vae.latents_std))
        return mean, deviation / vae.config.scaling_factor

    def _places(self, frames: int, rows: int, columns: int, fps: float) -> torch.Tensor:
        """(1,3,S) of each token of a window: seconds, and pixels down and to the right, where it begins."""
        time = (torch.arange(frames) * self.period + 1 - self.period).clamp(min=0) / fps  # the first is one frame alone
        down, right = (torch.arange(count) * float(self.spatial) for count in (rows, columns))
        return torch.stack(torch.meshgrid(time, down, right, indexing="ij")).flatten(1)[None]
