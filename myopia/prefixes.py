"""The unpruned keys and values of image sets that were read, kept for the next question.

A prefix is everything up to the last image token; another question on the same ordered pictures
shares it. Kept in host memory, least recently used forgotten by bytes, with the column sums that
a scoring policy needs to go on. Nothing here knows rows or slots.
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia.lru import ByteLru
from myopia.observer import Observer, Snapshot, can_resume
from myopia.params import Pruning
from myopia.prompt import Prompt
from myopia.workspace import Space


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values `(L, H, P, D)` of a prompt's first P tokens, and what was observed there."""

    keys: torch.Tensor
    values: torch.Tensor
    snapshot: Snapshot


def prefix_key(prompt: Prompt, digests: Sequence[str]) -> str:
    """Names a prefix: its token ids, which pictures stand in it, and by which tiles."""
    named = hashlib.sha256(array("q", prompt.ids[: prompt.prefix]).tobytes())
    named.update(" ".join([prompt.tiles, *digests]).encode())
    return named.hexdigest()


class Prefixes:
    """The store of image sets."""

    def __init__(self, limit_bytes: int) -> None:
        self.store: ByteLru[str, Prefix] = ByteLru(limit_bytes)

    def resume(
        self, key: str, space: Space, prompt: Prompt, pruning: Pruning, explain: bool
    ) -> Observer | None:
        """Copy a kept prefix into the workspace; the observer that goes on, None if not kept."""
        found = self.store.get(key)
        if found is None or not can_resume(found.snapshot, prompt.layout, pruning):
            return None
        space.keys[:, :, : prompt.prefix] = found.keys.to(space.keys.device)
        space.values[:, :, : prompt.prefix] = found.values.to(space.values.device)
        layers = space.checkpoint.layers
        return Observer.resumed(
            found.snapshot, prompt.layout, pruning, layers=layers, explain=explain
        )

    def keep(self, key: str, space: Space, prompt: Prompt, observer: Observer) -> None:
        """Keep what the workspace holds of a prefix that has just been read."""
        size = 2 * space.keys[:, :, : prompt.prefix].numel() * space.keys.element_size()
        if size > self.store.limit_bytes:
            return
        prefix = Prefix(
            space.keys[:, :, : prompt.prefix].to("cpu", copy=True),
            space.values[:, :, : prompt.prefix].to("cpu", copy=True),
            observer.snapshot(prompt.prefix),
        )
        self.store.put(key, prefix, size)
