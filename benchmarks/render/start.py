"""How long a process takes to its first picture and its first gradients once torch is there: prints seconds."""

import time

import torch

torch.zeros(1)
started = time.perf_counter()

from ani3dhuman.rendering import rasterize  # noqa: E402 - the import is part of what is timed

means = torch.tensor([[0.0, 0, 2]], requires_grad=True)
quats, scales = torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1)
K = torch.tensor([[[60.0, 0, 8], [0, 60, 8], [0, 0, 1]]])
image = rasterize(means, quats, scales, torch.ones(1), torch.ones(1, 3), torch.eye(4)[None], K, width=16, height=16)[0]
drawn = time.perf_counter() - started
image.sum().backward()
print(drawn, time.perf_counter() - started)
