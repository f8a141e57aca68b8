"""Chooses one row's next token from its logits; each row has its own generator.

Nothing here knows other rows, text or caches.
"""

from collections.abc import Sequence

import torch

from myopia.params import Sampling


class Sampler:
    """Greedy at temperature 0, else nucleus sampling; a seed makes it repeatable."""

    def __init__(self, params: Sampling) -> None:
        self.params = params
        # On the CPU, so that a seed gives the same answer on every device.
        self._generator = torch.Generator(device="cpu")
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def choose(self, logits: torch.Tensor, allowed: Sequence[int] | None = None) -> int:
        """A token id by logits `(V,)` float32, among `allowed` where given."""
        if allowed is not None:
            chosen = self.choose(logits[torch.tensor(allowed, device=logits.device)])
            return allowed[chosen]
        if self.params.temperature == 0:
            return int(logits.argmax())
        weights = torch.softmax(logits.double().cpu() / self.params.temperature, dim=-1)
        if self.params.top_p < 1:
            weights = _nucleus(weights, self.params.top_p)
        return int(torch.multinomial(weights, 1, generator=self._generator))


def _nucleus(weights: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the likeliest tokens whose mass first reaches `top_p`; `(V,)`."""
    ordered, order = weights.sort(descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where(before < top_p, ordered, 0.0)
    return torch.zeros_like(weights).scatter(0, order, kept)


def likeliest(
    logits: torch.Tensor, token: int, count: int
) -> tuple[float, list[tuple[int, float]]]:
    """Log-probability of `token` under logits `(V,)`, and the `count` likeliest with theirs."""
    logs = torch.log_softmax(logits.float(), dim=-1)
    values, ids = logs.topk(min(count, len(logs)))
    return float(logs[token]), list(zip(ids.tolist(), values.tolist(), strict=True))
