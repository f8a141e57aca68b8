"""Muon: momentum with matrix updates made orthogonal (Newton-Schulz, float32), AdamW for the rest.

Torch's own Muon computes in bfloat16, which is very slow on CPUs. Source: K. Jordan et al., 2024.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonal(update: Tensor) -> Tensor:
    """Nearest (semi-)orthogonal matrix, roughly: singular values end near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = update.shape[0] > update.shape[1]
    x = update.T if tall else update
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """For two-dimensional weights only; an update's root mean square is a fifth of `lr`."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(weights), {"lr": lr, "momentum": momentum, "decay": 0.02})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(state["momentum"], group["momentum"]))
                scale = 0.2 * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["decay"])
                weight.add_(update, alpha=-group["lr"] * scale)


class Pair:
    """Muon for the matrices, AdamW for everything else, stepped as one."""

    def __init__(self, matrices: list[Tensor], others: list[Tensor], lr: float) -> None:
        self.weights = [*matrices, *others]
        self.muon = Muon(matrices, lr)
        self.adam = torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, lr: float) -> None:
        """Clip, step and clear; AdamW and Muon share one learning rate (updates of equal size)."""
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for optimizer in (self.muon, self.adam):
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, object]:
        """Both optimizers' states."""
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, dict[str, Any]]) -> None:
        """Restore what `state_dict` gave; weights appended since then start without a history."""
        self.muon.load_state_dict(state["muon"])
        adam = state["adam"]
        (group,) = adam["param_groups"]
        known = len(self.adam.param_groups[0]["params"])
        adam = {**adam, "param_groups": [{**group, "params": list(range(known))}]}
        self.adam.load_state_dict(adam)
