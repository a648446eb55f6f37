"""Wan-Fun-Control as its authors publish it: Wan 2.1 that sees a control video's latents beside the noisy ones.

FOLDER/config.json, *.safetensors    the transformer, under Wan's own names (`read_transformer`)
FOLDER/image_encoder/                CLIP's vision tower in diffusers' layout, as in its Wan2.1-I2V repositories; may be
                                     missing, and then the network is told of no picture there, as without a reference

VAE and text encoder are those of every Wan 2.1, read from a repository in diffusers' layout; those published beside
the transformer are pickles, which are not opened. The network's input is (noisy 16, control 16, start 16) channels. A
reference picture comes, in releases with a reference convolution (V1.1), as a clean latent frame before the video, else
(V1.0) as the start of the video; and through CLIP. Shapes and order are those of VideoX-Fun's WanFunControlPipeline.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionModel

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ...models.paths import CONFIG
from ...models.shapes import WanShape
from ..video.diffusers_folder import DiffusersFolder, models_key
from ..video.prompts import PromptEncoder
from .memory import IMAGE_TOKENS
from .networks import WAN_VACE, WanModels, load_prompt_encoder, put
from .prior import WanConditions, WanOptions, WanPrior

_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pictures that CLIP was trained with
_STD = (0.26862954, 0.26130258, 0.27577711)


class PatchesWithReference(nn.Module):
    """A patch embedding whose first latent frame is a clean reference picture with a convolution of its own."""

    def __init__(self, video: nn.Conv3d, reference: nn.Conv2d) -> None:
        super().__init__()
        self.video = video
        self.reference = reference

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Tokens (B,D,1+F,h/2,w/2) of latents (B,C,1+F,h,w), of which the first frame is the reference's, then 0."""
        first = self.reference(latents[:, : self.reference.in_channels, 0])
        return torch.cat([first[:, :, None], self.video(latents[:, :, 1:])], 2)


def read_transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The transformer of a published folder as diffusers' `WanTransformer3DModel`, in eval mode on the CPU.

    Where it has a reference convolution its patch embedding is `PatchesWithReference`.

    Raises:
        Ani3DError: ``restoration.wan_missing``, ``restoration.wan_class``: another model, or one with other
            conditions; ``restoration.wan_partial``: files or weights are missing, damaged or of other shapes.
    """
    config, weights = _config(folder), _weights(folder)
    reference = {name: weights.pop(f"ref_conv.{name}") for name in ("weight", "bias") if f"ref_conv.{name}" in weights}
    if bool(config.get("add_ref_conv")) != (len(reference) == 2):
        raise _partial(folder, "its reference convolution is not as config.json says")
    with torch.device("meta"):
        network: Any = WanTransformer3DModel(**transformer_config(config))
    network.rope = type(network.rope)(  # computed, not stored
        network.config.attention_head_dim, network.config.patch_size, network.config.rope_max_seq_len
    )
    converted = convert_wan_transformer_to_diffusers(weights)
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    wrong = sorted(
        (wanted.keys() ^ converted.keys())
        | {name for name, shape in wanted.items() if name in converted and converted[name].shape != shape}
    )
    if wrong:
        raise _partial(folder, f"{len(wrong)} of its weights are missing or of another shape, {wrong[0]} first")
    exact = network._keep_in_fp32_modules  # as from_pretrained does
    network.load_state_dict(
        {
            name: value.to(torch.float32 if any(part in name for part in exact) else dtype)
            for name, value in converted.items()
        },
        assign=True,
    )
    if reference:
        width, channels, rows, columns = reference["weight"].shape
        conv = nn.Conv2d(channels, width, (rows, columns), (rows, columns))
        conv.load_state_dict(reference)
        network.patch_embedding = PatchesWithReference(network.patch_embedding, conv.to(dtype))
    return network.eval().requires_grad_(False)


def transformer_config(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of diffusers' `WanTransformer3DModel` for a published config.json."""
    shape = WanShape.from_published(config)
    return {
        "patch_size": tuple(config.get("patch_size", (1, 2, 2))),
        "num_attention_heads": shape.heads,
        "attention_head_dim": shape.head_dim,
        "in_channels": shape.channels,
        "out_channels": shape.outputs,
        "text_dim": shape.text_dim,
        "freq_dim": shape.freq_dim,
        "ffn_dim": shape.ffn,
        "num_layers": shape.layers,
        "cross_attn_norm": config.get("cross_attn_norm", True),
        "eps": config.get("eps", 1e-6),
        "image_dim": shape.image_dim or None,
        "added_kv_proj_dim": shape.hidden if shape.image_dim else None,
    }


def _config(folder: Path) -> dict[str, Any]:
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise Ani3DError(
            "restoration.wan_missing",
            f"There is no Wan-Fun-Control model in {folder}: {CONFIG} is missing.",
            "Give the folder that holds config.json and the safetensors, or fetch the model first.",
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        transformer_config(config)
        conditions = config["in_dim"] - config["out_dim"]
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise _partial(folder, f"{CONFIG} cannot be read: {error!r}") from error
    if conditions != 2 * config["out_dim"] or config.get("add_control_adapter"):
        raise Ani3DError(
            "restoration.wan_class",
            f"{folder} holds a Wan with {conditions} channels of conditions, not a Wan-Fun-Control, which has "
            f"{2 * config['out_dim']}.",
            "Use a Control release, such as Wan2.1-Fun-V1.1-1.3B-Control; Control-Camera and InP see other things.",
        )
    return config


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    paths = sorted(Path(folder).glob("*.safetensors"))
    if not paths:
        raise _partial(folder, "*.safetensors is missing")
    try:
        return {name: value for path in paths for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise _partial(folder, str(error)) from error


def _partial(folder: Path, what: str) -> Ani3DError:
    return Ani3DError(
        "restoration.wan_partial",
        f"The Wan-Fun-Control model in {folder} is not whole: {what}.",
        "Fetch it again: config.json and the safetensors of its own folder.",
    )


class PictureReader:
    """CLIP's vision tower: a picture as the features that Wan's image-to-video networks read."""

    def __init__(self, network: Any, device: str | torch.device = "cpu") -> None:
        self.network = network
        self.device = device

    @torch.no_grad()
    def __call__(self, picture: np.ndarray) -> torch.Tensor:
        """Features (1,N,D), of the last block but one, of a picture (h,w,3) uint8, which is squeezed to a square."""
        size = self.network.config.image_size
        pixels = torch.from_numpy(picture).float().permute(2, 0, 1)[None] / 255.0
        square = interpolate(pixels, (size, size), mode="bicubic", align_corners=False)
        scaled = (square - torch.tensor(_MEAN).view(3, 1, 1)) / torch.tensor(_STD).view(3, 1, 1)
        self.network.to(self.device)
        found = self.network(scaled.to(self.device, self.network.dtype), output_hidden_states=True)
        self.network.to("cpu")  # it is needed once
        return found.hidden_states[-2].float().cpu()


class FunControlPrior(WanPrior):
    """`VideoPrior` of Wan-Fun-Control; conditions (T',32,h,w) are control and reference latents, the latter alike in
    every frame, 0 without a reference picture.

    Args:
        reader: of the reference picture; None tells the network of no picture.
        args, options: as of `WanPrior`.
    """

    name = "wan-fun-control"
    anchored = False

    def __init__(self, *args: Any, reader: PictureReader | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.reader = reader

    @cached_property
    def picture_features(self) -> torch.Tensor | None:
        """What the network is told of the reference picture, (1,N,D); 0 where there is none, None where none is read.

        As in the authors' pipeline, zeros stand for no picture.
        """
        width = self.models.transformer.config.image_dim
        if width is None:
            return None
        if self.conditions.reference is None or self.reader is None:
            return torch.zeros(1, IMAGE_TOKENS, width)
        return self.reader(self.conditions.reference)

    def seen(
        self, control: torch.Tensor, reference: torch.Tensor | None, progress: Progress | None = None
    ) -> torch.Tensor:
        """Conditions (1,32,T',h,w) of a control video (1,3,T,h,w) and reference latents (1,16,1,h,w)."""
        latents = self.vae.encode(control, progress)
        still = torch.zeros_like(latents[:, :, :1]) if reference is None else reference
        return torch.cat([latents, still.expand_as(latents)], 1)

    def predict(
        self, expert: Any, latents: torch.Tensor, timestep: torch.Tensor, texts: torch.Tensor, conditions: torch.Tensor
    ) -> torch.Tensor:
        control, still = conditions.split(self.vae.channels, 1)
        still = still[:, :, :1]
        start = torch.zeros_like(control)
        takes_reference = isinstance(expert.patch_embedding, PatchesWithReference)
        if not takes_reference and control.shape[2] > 1:
            start[:, :, :1] = still
        video = torch.cat([latents, control, start], 1)
        if takes_reference:
            front = torch.cat([still, torch.zeros_like(video[:, still.shape[1] :, :1])], 1)
            video = torch.cat([front, video], 2)
        features = self.picture_features
        velocity = expert(
            hidden_states=video,
            timestep=timestep,
            encoder_hidden_states=texts,
            encoder_hidden_states_image=None if features is None else features.to(video).expand(len(video), -1, -1),
            return_dict=False,
        )[0]
        return velocity[:, :, 1:] if takes_reference else velocity


def load_fun_prior(
    folder: Path,
    *,
    parts: Path | None,
    conditions: WanConditions,
    prompts: PromptEncoder | None = None,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    options: WanOptions | None = None,
    place: Callable[[WanModels], object] | None = None,
) -> FunControlPrior:
    """The prior of a published Wan-Fun-Control folder; nothing is fetched.

    Args:
        folder: as the module says.
        parts: a Wan in diffusers' layout, for its VAE and text encoder; None looks for them in `folder`.
        conditions, prompts, dtype, device, options, place: as of `load_wan_prior`.

    Raises:
        Ani3DError: as `read_transformer`, and as `load_wan_models` for `parts`; a prompt that is too long.
    """
    parts = parts or folder
    prompts = prompts or load_prompt_encoder(parts, dtype=dtype, device=device)
    prompts.encode([conditions.prompt, conditions.negative_prompt])  # before the other networks need the memory
    source = DiffusersFolder(Path(parts), WAN_VACE)
    source.check("vae")
    vae, transformer = source.load("vae", AutoencoderKLWan, torch.float32), read_transformer(folder, dtype)
    reader = None
    if (folder / "image_encoder" / CONFIG).is_file():
        with source.loading():
            tower = CLIPVisionModel.from_pretrained(
                folder / "image_encoder", torch_dtype=torch.float32, local_files_only=True, use_safetensors=True
            )
        reader = PictureReader(tower.eval(), device)
    key = models_key(vae, transformer, None if reader is None else reader.network)
    models = WanModels(vae, transformer, None, None, torch.device(device), key)
    put(models, place)
    return FunControlPrior(models, prompts, conditions, options, reader=reader)
