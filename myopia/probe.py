"""Scores image tokens before any question is asked: what the model looks at when it describes.

Every picture is described once, in a few greedy tokens, from the full prefix; a token's score is
the attention it gets from the description that needs it most. Source: ours, measured against
accumulated attention on a small model (docs/log/engine.md). Nothing here knows budgets.
"""

from collections.abc import Sequence

import torch

from myopia.layout import Layout
from myopia.workspace import Space

# Eight tokens name a drawn picture's objects; longer captions were not measured.
CAPTION_TOKENS = 8


class Captions:
    """Descriptions of several pictures, written together over one shared prefix."""

    def __init__(self, space: Space, layout: Layout) -> None:
        self.space = space
        self.prefix = layout.spans[-1].stop
        checkpoint = space.checkpoint
        self._images = torch.tensor(layout.image_positions(), device=checkpoint.device)
        self._own: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * checkpoint.layers
        self._sums = torch.zeros(0)
        self._alive = torch.ones(0)

    def scores(self, tails: Sequence[Sequence[int]]) -> torch.Tensor:
        """`(L, N)` for the N image tokens, the highest over these captions.

        `tails`: what follows the prefix in each caption's prompt, all of one length.
        """
        checkpoint = self.space.checkpoint
        ids = torch.tensor(tails, device=checkpoint.device)
        self._own = [None] * checkpoint.layers
        self._sums = torch.zeros(
            checkpoint.layers, len(tails), len(self._images), device=ids.device
        )
        self._alive = torch.ones(len(tails), device=ids.device)
        rows = torch.zeros_like(self._alive)
        start = self.prefix
        for _ in range(CAPTION_TOKENS):
            embedded = checkpoint.model.get_input_embeddings()(ids)
            positions = torch.arange(start, start + ids.shape[1], device=ids.device)
            hidden = checkpoint.text_model(embedded, positions.expand(len(tails), -1), self)
            rows += self._alive
            start += ids.shape[1]
            ids = checkpoint.model.lm_head(hidden[:, -1]).argmax(-1, keepdim=True)
            ended = [int(one) in checkpoint.stop_ids for one in ids[:, 0]]
            self._alive = self._alive * torch.tensor([float(not e) for e in ended]).to(ids.device)
            if not self._alive.any():
                break
        return (self._sums / rows[None, :, None]).amax(dim=1)

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Attend the shared prefix and each caption's own tokens; note the last row's weights."""
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        own = self._own[layer]
        if own is not None:
            key, value = torch.cat([own[0], key], dim=2), torch.cat([own[1], value], dim=2)
        self._own[layer] = (key, value)
        keys = self.space.keys[layer, :, : self.prefix]
        values = self.space.values[layer, :, : self.prefix]
        rows, query_heads, tokens, width = query.shape
        grouped = query.reshape(rows, len(keys), -1, tokens, width)
        shared = grouped @ keys[:, None].transpose(-1, -2)  # (B, H, G, T, P)
        private = grouped @ key[:, :, None].transpose(-1, -2)  # (B, H, G, T, t)
        hidden = torch.ones(private.shape[-2:], dtype=torch.bool, device=key.device)
        hidden = hidden.triu(private.shape[-1] - tokens + 1)
        private = private.masked_fill(hidden, float("-inf"))
        weights = torch.softmax(torch.cat([shared, private], -1).float() * scaling, dim=-1)
        looked = weights[..., -1, self._images].mean(dim=(1, 2))  # (B, N)
        self._sums[layer] += looked * self._alive[:, None]
        first, last = weights.to(value.dtype).split([self.prefix, private.shape[-1]], dim=-1)  # type: ignore[no-untyped-call]
        attended = torch.add(first @ values[:, None], last @ value[:, :, None])
        return attended.reshape(rows, query_heads, tokens, width).transpose(1, 2)


def probe_text(picture: int) -> str:
    """What asks for a description of a picture, counted from 0."""
    return f"Describe image {picture + 1}."


def by_length(tails: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Numbers of the tails in groups of one length, at most `most` together."""
    lengths: dict[int, list[int]] = {}
    for number, tail in enumerate(tails):
        lengths.setdefault(len(tail), []).append(number)
    return [
        numbers[at : at + most]
        for numbers in lengths.values()
        for at in range(0, len(numbers), most)
    ]
