"""Made-up rows for the tests of scores and pruning: layouts, queries, keys, values."""

from dataclasses import dataclass

import torch

from myopia.layout import Layout, Span
from myopia.observer import Observer
from myopia.params import Pruning

SCALING = 0.25


@dataclass
class Row:
    """A prompt's tensors per layer: query (Q, S, D), key and value (H, S, D)."""

    layout: Layout
    queries: list[torch.Tensor]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    @property
    def layers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(zip(self.keys, self.values, strict=True))

    def observed(
        self, pruning: Pruning, *, chunk: int | None = None, explain: bool = False
    ) -> Observer:
        observer = Observer(self.layout, pruning, layers=len(self.keys), explain=explain)
        length = self.layout.length
        for start in range(0, length, chunk or length):
            stop = min(length, start + (chunk or length))
            for index, (query, key) in enumerate(zip(self.queries, self.keys, strict=True)):
                observer.see(index, query[:, start:stop], key[:, :stop], start, SCALING)
        return observer


def make_layout(
    images: int = 3, base: int = 3, grid: tuple[int, int] = (2, 3), tail: int = 5
) -> Layout:
    """`<s>`, then images with one text token before each, then the question."""
    at, spans = 1, []
    for _ in range(images):
        span = Span(start=at + 1, base=(base, base), grid=grid)
        spans.append(span)
        at = span.stop
    return Layout(at + tail, tuple(spans), tuple(range(at, at + tail - 1)))


def make_row(
    layout: Layout, *, layers: int = 2, heads: int = 2, groups: int = 2, seed: int = 0
) -> Row:
    """Random tensors, sharp enough that tokens differ."""
    chance = torch.Generator().manual_seed(seed)
    width, length = 16, layout.length

    def draw(count: int) -> list[torch.Tensor]:
        return [torch.randn(count, length, width, generator=chance) * 1.5 for _ in range(layers)]

    return Row(layout, draw(heads * groups), draw(heads), draw(heads))


def eager(row: Row, layer: int) -> torch.Tensor:
    """The whole attention matrix (H, G, S, S), the way nobody should compute it."""
    query, key = row.queries[layer], row.keys[layer]
    heads = key.shape[0]
    grouped = query.view(heads, -1, *query.shape[1:])
    logits = torch.einsum("hgid,hjd->hgij", grouped, key) * SCALING
    hidden = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
    return logits.masked_fill(hidden, -torch.inf).softmax(-1)
