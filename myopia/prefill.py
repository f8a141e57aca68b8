"""Reads one prompt in bounded pieces, and shows every layer's queries and keys to an observer.

The whole prompt's keys and values exist only here and only until its row is pruned.
Nothing here knows policies, budgets or other rows.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.prompt import Prompt

FeaturesOf = Callable[[int], torch.Tensor]


class Workspace:
    """Keys and values `(L, H, S, D)` of the one prompt that is being read; grows, never shrinks."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.capacity = 0
        self.keys = torch.empty(0)
        self.values = torch.empty(0)

    def reserve(self, tokens: int) -> None:
        """Make room for a prompt; what was in it is lost."""
        if tokens <= self.capacity:
            return
        one = self.checkpoint
        shape = (one.layers, one.key_heads, tokens, one.head_dim)
        self.keys, self.values = torch.empty(0), torch.empty(0)  # let go before taking more
        self.keys = torch.empty(shape, dtype=one.dtype, device=one.device)
        self.values = torch.empty(shape, dtype=one.dtype, device=one.device)
        self.capacity = tokens

    def layers(self, length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values `(H, S, D)` of every layer, S = `length`, as views."""
        return [
            (self.keys[layer, :, :length], self.values[layer, :, :length])
            for layer in range(self.checkpoint.layers)
        ]


class _Piece:
    """The attention call of one piece: stores, observes, attends causally."""

    def __init__(self, space: Workspace, observer: Observer | None, start: int) -> None:
        self.space = space
        self.observer = observer
        self.start = start
        self._mask: torch.Tensor | None = None

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
        if self.observer is not None:
            self.observer.see(layer, query[0], keys, self.start, scaling)
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


def read_piece(
    space: Workspace,
    prompt: Prompt,
    bounds: tuple[int, int],
    features_of: FeaturesOf,
    observer: Observer | None,
    dropped: int = 0,
) -> torch.Tensor:
    """Run the language model over positions `bounds` of a prompt; hidden states `(T, hidden)`.

    Everything before must be in `space`, but for `dropped` tokens that were pruned from it: slots
    are so much less than positions. `features_of(k)` gives picture k's rows.
    """
    checkpoint, (start, stop) = space.checkpoint, bounds
    device = checkpoint.device
    ids = torch.tensor(prompt.ids[start:stop], device=device)
    embedded = checkpoint.model.get_input_embeddings()(ids)
    for number in pictures_between(prompt, start, stop):
        span = prompt.layout.spans[number]
        first, last = max(span.start, start), min(span.stop, stop)
        rows = features_of(number)[first - span.start : last - span.start]
        embedded[first - start : last - start] = rows.to(device, embedded.dtype)
    positions = torch.arange(start, stop, device=device)[None]
    piece = _Piece(space, observer, start - dropped)
    return checkpoint.text_model(embedded[None], positions, piece)[0]


def pictures_between(prompt: Prompt, start: int, stop: int) -> Sequence[int]:
    """Numbers of the pictures with tokens in [start, stop)."""
    spans = prompt.layout.spans
    return [n for n, span in enumerate(spans) if span.start < stop and span.stop > start]
