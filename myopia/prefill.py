"""Reads pieces of prompts, and shows every layer's queries and keys to each prompt's observer.

Pieces of several prompts go through the model's products together and through attention apart.
Nothing here knows policies, budgets or why pieces end where they end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia.columns import attend_and_sum
from myopia.flash import attend_with_lse
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.prompt import Prompt
from myopia.workspace import Space

FeaturesOf = Callable[[int], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Piece:
    """Positions [start, stop) of one prompt, and what must be known to read them.

    Everything before must be in `space`, but for `dropped` tokens that were pruned from it: slots
    are so much less than positions. `features_of(k)` gives picture k's rows.
    """

    space: Space
    prompt: Prompt
    start: int
    stop: int
    features_of: FeaturesOf
    observer: Observer | None = None
    dropped: int = 0

    @property
    def tokens(self) -> int:
        """How many are read."""
        return self.stop - self.start


class _Attention:
    """The attention call of one piece: stores, observes, attends causally."""

    def __init__(self, piece: Piece) -> None:
        self.space = piece.space
        self.observer = piece.observer
        self.start = piece.start - piece.dropped
        self._mask: torch.Tensor | None = None
        self._bias: torch.Tensor | None = None

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        layer, tokens = int(module.layer_idx), query.shape[2]  # type: ignore[arg-type]
        stop = self.start + tokens
        self.space.keys[layer, :, self.start : stop] = key[0]
        self.space.values[layer, :, self.start : stop] = value[0]
        keys, values = self.space.keys[layer, :, :stop], self.space.values[layer, :, :stop]
        plain, lse, attended = _is_plain(query), None, None
        if self.observer is not None and plain:
            sight = self.observer.whole(self.start, stop)
            if sight is not None:
                every = attend_and_sum(query[0], keys, values, sight.weights, scaling)
                self.observer.take(layer, sight, every[1])
                return every[0].transpose(0, 1)[None]
            if self.observer.wants_lse(self.start, stop):
                mask = None if self.start == 0 else self._additive(tokens, stop)
                attended, lse = attend_with_lse(query, keys[None], values[None], mask, scaling)
        if self.observer is not None:
            self.observer.see(layer, query[0], keys, self.start, scaling, lse)
        if attended is None:
            whole = self.start == 0
            attended = scaled_dot_product_attention(
                query,
                keys[None],
                values[None],
                attn_mask=None if whole else self._lower_right(tokens, stop),
                is_causal=whole,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        return attended.transpose(1, 2)

    def _lower_right(self, tokens: int, stop: int) -> torch.Tensor:
        """`(T, S)`: row t sees positions up to start + t."""
        if self._mask is None:
            device = self.space.keys.device
            rows = torch.arange(self.start, stop, device=device)[:, None]
            self._mask = torch.arange(stop, device=device)[None] <= rows
        return self._mask

    def _additive(self, tokens: int, stop: int) -> torch.Tensor:
        """The same in float32: 0 where a row sees, else -inf."""
        if self._bias is None:
            seen = self._lower_right(tokens, stop)
            self._bias = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
        return self._bias


def _is_plain(query: torch.Tensor) -> bool:
    """Whether attention by matrices is as good as the kernels: float32 on a CPU."""
    return query.device.type == "cpu" and query.dtype == torch.float32


class _Apart:
    """The attention call of several pieces that lie one behind another: each sees itself alone."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._calls = [_Attention(piece) for piece in pieces]
        self._sizes = [piece.tokens for piece in pieces]

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        attended, start = [], 0
        for call, size in zip(self._calls, self._sizes, strict=True):
            own = slice(start, start := start + size)
            parts = query[:, :, own], key[:, :, own], value[:, :, own]
            attended.append(call(module, *parts, mask, scaling))
        return attended[0] if len(attended) == 1 else torch.cat(attended, dim=1)


def read_pieces(checkpoint: Checkpoint, pieces: Sequence[Piece]) -> list[torch.Tensor]:
    """Run the language model over pieces of several prompts; hidden states `(T, hidden)` of each.

    Products run over all of them together, attention over each alone.
    """
    embedded = torch.cat([_embedded(checkpoint, piece) for piece in pieces])
    device = checkpoint.device
    spans = [torch.arange(piece.start, piece.stop, device=device) for piece in pieces]
    hidden = checkpoint.text_model(embedded[None], torch.cat(spans)[None], _Apart(pieces))
    return list(hidden[0].split([piece.tokens for piece in pieces]))  # type: ignore[no-untyped-call]


def _embedded(checkpoint: Checkpoint, piece: Piece) -> torch.Tensor:
    """Word vectors of a piece, and its pictures' features where they belong: `(T, hidden)`."""
    prompt, start, stop = piece.prompt, piece.start, piece.stop
    ids = torch.tensor(prompt.ids[start:stop], device=checkpoint.device)
    embedded: torch.Tensor = checkpoint.model.get_input_embeddings()(ids)
    for number in pictures_between(prompt, start, stop):
        span = prompt.layout.spans[number]
        first, last = max(span.start, start), min(span.stop, stop)
        rows = piece.features_of(number)[first - span.start : last - span.start]
        embedded[first - start : last - start] = rows.to(embedded.device, embedded.dtype)
    return embedded


def pictures_between(prompt: Prompt, start: int, stop: int) -> Sequence[int]:
    """Numbers of the pictures with tokens in [start, stop)."""
    spans = prompt.layout.spans
    return [n for n, span in enumerate(spans) if span.start < stop and span.stop > start]
