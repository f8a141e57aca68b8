"""Several processes training one model: gradients are averaged, everything else is done by each.

One thread per process beats one process with many threads on a busy machine: no barrier inside a
step. Knows nothing of what is trained.
"""

from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed


class Team:
    """One process among `size`; alone when the size is 1. Members meet through a file."""

    def __init__(self, rank: int = 0, size: int = 1, meeting: Path | None = None) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            distributed.init_process_group(
                "gloo",
                init_method=f"file://{meeting}",
                rank=rank,
                world_size=size,
                timeout=timedelta(hours=2),
            )

    def wait(self) -> None:
        """Wait until every member is here, for as long as drawing and encoding may take."""
        if self.size > 1:
            distributed.barrier()

    def average(self, weights: list[Tensor], number: float) -> float:
        """Average the gradients in place, and a number that all must agree on."""
        if self.size == 1:
            return number
        grads = [torch.zeros(w.numel()) if w.grad is None else w.grad.flatten() for w in weights]
        used = torch.tensor([float(w.grad is not None) for w in weights])
        flat = torch.cat([*grads, used, torch.tensor([number])])
        distributed.all_reduce(flat)
        flat /= self.size
        sizes = [w.numel() for w in weights]
        parts = torch.split(flat, [*sizes, len(weights), 1])
        for weight, part, share in zip(weights, parts, parts[-2].tolist(), strict=False):
            weight.grad = part.view_as(weight) if share > 0 else None
        return float(flat[-1])
