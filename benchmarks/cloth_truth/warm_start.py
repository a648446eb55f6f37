"""Weights of the prior that was told the coarse layer, as a start for the one that is told the rigid layer alone.

    python -m benchmarks.cloth_truth.warm_start OLD_FOLDER NEW_FOLDER

Over a rigid coarse layer both compute the same: channels that were equal there are added up, those that were zero are
left out, and the new ones (acceleration) start at zero.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from ani3dhuman.restoration.feature_maps import CHANNELS
from ani3dhuman.restoration.network import DisplacementNet

LATENTS, PATCH = 3, 4  # channels of the maps; cells of a patch
VELOCITY, RIGID_VELOCITY = slice(8, 11), slice(14, 17)  # old condition channels of the coarse and the rigid layer


def converted(old: dict[str, torch.Tensor]) -> DisplacementNet:
    """The network of today with the weights of `old` (state dict of the 17-channel network)."""
    net = DisplacementNet()
    weight = old["enter.weight"]
    cells = weight.reshape(weight.shape[0], -1, PATCH, 1, 1)
    latents, conditions = cells[:, :LATENTS], cells[:, LATENTS:]
    new = torch.zeros(weight.shape[0], CHANNELS, PATCH, 1, 1)
    new[:, :11] = conditions[:, :11]
    new[:, VELOCITY] += conditions[:, RIGID_VELOCITY]
    net.load_state_dict({**old, "enter.weight": torch.cat([latents, new], 1).flatten(1, 2)})
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    converted(load_file(options.old / "diffusion_pytorch_model.safetensors")).save_pretrained(options.new)


if __name__ == "__main__":
    main()
