"""Image sets pruned once, before any question: only the small cache is kept for later ones.

Scores come from descriptions (probe), each picture keeps its share of the budget (a quota, as
measured best), text between the pictures stays whole, no bins. Nothing here knows rows' answers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia import budget
from myopia.layout import Layout
from myopia.lru import ByteLru
from myopia.params import Pruning
from myopia.probe import Captions, by_length
from myopia.pruning import Survivors
from myopia.workspace import Space

# Captions written together: eight rows of weights over a 10,000-token prefix take 150 MB at 7B.
MOST_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class SmallSet:
    """Keys and values `(L, H, K, D)` of a pruned prefix, and the positions `(L, K)` they had."""

    keys: torch.Tensor
    values: torch.Tensor
    positions: torch.Tensor


class SmallSets:
    """The store of pruned image sets, least recently used forgotten by bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.store: ByteLru[str, SmallSet] = ByteLru(limit_bytes)

    @staticmethod
    def key(prefix: str, layout: Layout, pruning: Pruning) -> str:
        """Names a pruned prefix: which one, and how many image tokens it keeps."""
        named = f"{prefix} {budget.image_quota(layout, pruning)}"
        return hashlib.sha256(named.encode()).hexdigest()

    def resume(self, key: str, space: Space) -> SmallSet | None:
        """Copy a kept set to the front of the workspace; None if it is not kept."""
        found = self.store.get(key)
        if found is not None:
            put_in_front(found, space)
        return found

    def keep(self, key: str, small: SmallSet) -> None:
        """Keep a set in host memory."""
        held = SmallSet(small.keys.cpu(), small.values.cpu(), small.positions)
        size = 2 * held.keys.numel() * held.keys.element_size()
        self.store.put(key, held, size)


class Compression:
    """The work of pruning one image set, a few captions at a time."""

    def __init__(self, space: Space, layout: Layout, tails: Sequence[Sequence[int]]) -> None:
        self.space = space
        self.layout = layout
        self._tails = tails
        self._groups = by_length(tails, MOST_TOGETHER)
        self._scores: torch.Tensor | None = None

    def advance(self) -> bool:
        """Write the next captions; whether all are written."""
        group = self._groups.pop(0)
        scores = Captions(self.space, self.layout).scores([self._tails[n] for n in group])
        before = self._scores
        self._scores = scores if before is None else torch.maximum(before, scores)
        return not self._groups

    def result(self, pruning: Pruning) -> SmallSet:
        """The pruned set, once every caption is written; also put to the workspace's front."""
        assert self._scores is not None
        positions = kept_positions(self._scores, self.layout, pruning)
        index = positions[:, None, :, None].to(self.space.keys.device)
        shape = (*self.space.keys.shape[:2], positions.shape[1], self.space.keys.shape[3])
        small = SmallSet(
            self.space.keys.gather(2, index.expand(shape)),
            self.space.values.gather(2, index.expand(shape)),
            positions,
        )
        put_in_front(small, self.space)
        return small


def kept_positions(scores: torch.Tensor, layout: Layout, pruning: Pruning) -> torch.Tensor:
    """Positions `(L, K)` that stay of a prefix, ascending: all text, and a quota per picture.

    `scores` `(L, N)`; of equal scores the earlier token stays.
    """
    shares = budget.allot(
        [span.length for span in layout.spans],
        budget.image_quota(layout, pruning),
        1,
        layout.image_tokens,
    )
    prefix = layout.spans[-1].stop
    alive = torch.ones(scores.shape[0], prefix, dtype=torch.bool)
    first = 0
    for span, share in zip(layout.spans, shares, strict=True):
        own = scores[:, first : first + span.length]
        order = own.argsort(dim=-1, descending=True, stable=True).cpu()
        chosen = torch.zeros(own.shape, dtype=torch.bool)
        chosen.scatter_(1, order[:, : min(share, span.length)], True)
        alive[:, span.start : span.stop] = chosen
        first += span.length
    return alive.nonzero()[:, 1].view(scores.shape[0], -1)


def put_in_front(small: SmallSet, space: Space) -> None:
    """Write a pruned set into the first slots of the workspace."""
    kept = small.keys.shape[2]
    space.keys[:, :, :kept] = small.keys.to(space.keys.device)
    space.values[:, :, :kept] = small.values.to(space.values.device)


def survivors_of(space: Space, small: SmallSet, length: int, prefix: int) -> list[Survivors]:
    """What a row holds that was read behind a pruned set: the set and all of its own text."""
    kept, tail = small.keys.shape[2], length - prefix
    after = torch.arange(prefix, length)
    return [
        Survivors(keys, values, None, torch.cat([positions, after])[None], 0, length - kept - tail)
        for (keys, values), positions in zip(
            space.layers(kept + tail), small.positions, strict=True
        )
    ]
