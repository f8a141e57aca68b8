"""What is pruned when, and what is run again on the pruned cache.

Four protocols. `served`: prune at the end of prefill; the first token came from the whole cache.
`question`: scores from the whole prompt, then the whole question again on the pruned pictures.
`turn`: pruned while a first question was asked; its answer and the second question come on top of
what was kept. `blind`: scores from the pictures alone. Re-running only the last token would leak:
earlier question tokens have read the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from bench.quality.network import KeysValues, Stored, embed, prefill
from myopia.layout import Layout
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.prompt import Prompt
from myopia.pruning import Survivors, prune_row

Protocol = Literal["served", "question", "turn", "blind"]
PROTOCOLS: tuple[Protocol, ...] = ("served", "question", "turn", "blind")


@dataclass(frozen=True, slots=True)
class Pruned:
    """Survivors of each pruning, and the text to run on them: ids from position `start`."""

    variants: list[list[Survivors]]
    tail: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Read:
    """A prompt, its picture features, and its prefill with the whole cache."""

    prompt: Prompt
    pictures: tuple[torch.Tensor, ...]
    full: Stored


def read(checkpoint: Checkpoint, prompt: Prompt, pictures: Sequence[torch.Tensor]) -> Read:
    """Prefill a prompt and keep everything."""
    stored = prefill(checkpoint, embed(checkpoint, prompt.ids, pictures))
    return Read(prompt, tuple(pictures), stored)


def prune(
    checkpoint: Checkpoint,
    asked: Read,
    prunings: Sequence[Pruning],
    protocol: Protocol,
    first: Prompt | None = None,
) -> Pruned:
    """Survivors under a protocol for every pruning; `first` is a `turn`'s prompt of turn one.

    A pruning with budget 0 is not a thing of the library's: see `without_images`.
    """
    prompt = asked.prompt
    if protocol == "blind":
        layout = picture_layout(prompt.layout)
        variants = _survivors(checkpoint, prompt.ids[: prompt.prefix], layout, asked, prunings)
        return Pruned(variants, prompt.ids[prompt.prefix :], prompt.prefix)
    if protocol == "turn":
        if first is None:
            raise ValueError("protocol 'turn' needs the prompt of the first turn")
        if prompt.ids[: len(first.ids)] != first.ids:
            raise ValueError("the second turn must go on where the first one ended")
        variants = _survivors(checkpoint, first.ids, first.layout, asked, prunings)
        return Pruned(variants, prompt.ids[len(first.ids) :], len(first.ids))
    variants = _survivors(checkpoint, prompt.ids, prompt.layout, asked, prunings)
    served = Pruned(variants, (), len(prompt.ids))
    return served if protocol == "served" else ask_again(served, prompt)


def ask_again(served: Pruned, prompt: Prompt) -> Pruned:
    """The pruned pictures of a served prompt, with all of a question still to be run."""
    before = [[forget(layer, prompt.prefix) for layer in variant] for variant in served.variants]
    return Pruned(before, prompt.ids[prompt.prefix :], prompt.prefix)


def picture_layout(layout: Layout) -> Layout:
    """The prompt up to its last image; the text between the images guides, as far as there is any.

    Where the images stand side by side, the last image row does.
    """
    prefix = layout.spans[-1].stop
    inside = set(layout.image_positions())
    first = layout.spans[0].start
    between = tuple(row for row in range(first, prefix) if row not in inside)
    return Layout(prefix, layout.spans, between or (prefix - 1,))


def without_images(layers: Sequence[KeysValues], layout: Layout, prefix: int) -> list[Survivors]:
    """The text's KV before `prefix` alone: what an answer is worth without any picture."""
    inside = set(layout.image_positions())
    rows = torch.tensor([row for row in range(prefix) if row not in inside], dtype=torch.long)
    return [Survivors(k[:, rows], v[:, rows], None, rows[None], 0) for k, v in layers]


def everything(layers: Sequence[KeysValues], prefix: int) -> list[Survivors]:
    """The whole KV before `prefix`."""
    rows = torch.arange(prefix)[None]
    return [Survivors(k[:, :prefix], v[:, :prefix], None, rows, 0) for k, v in layers]


def forget(survivors: Survivors, prefix: int) -> Survivors:
    """The same without what stands at `prefix` or later; images all stand before."""
    kept = survivors.positions[0] < prefix
    bias = survivors.bias
    return replace(
        survivors,
        keys=survivors.keys[:, kept],
        values=survivors.values[:, kept],
        bias=None if bias is None else bias[:, kept],
        positions=survivors.positions[:, kept],
    )


def _survivors(
    checkpoint: Checkpoint,
    ids: Sequence[int],
    layout: Layout,
    asked: Read,
    prunings: Sequence[Pruning],
) -> list[list[Survivors]]:
    """Prune one prefill in many ways; prunings of equal needs share an observer."""
    made: dict[object, Observer] = {}
    observers = []
    for pruning in prunings:
        fresh = Observer(layout, pruning, layers=checkpoint.layers)
        observers.append(made.setdefault(fresh.needs, fresh))
    embeds = embed(checkpoint, ids, asked.pictures)
    stored = prefill(checkpoint, embeds, list(made.values()))
    return [
        prune_row(stored.layers, observer, layout, pruning)
        for observer, pruning in zip(observers, prunings, strict=True)
    ]


def text_only(checkpoint: Checkpoint, prompt: Prompt) -> Pruned:
    """The same prompt with every picture's tokens left out: what guessing from the text is worth.

    Not the same as `without_images`, whose text between the pictures has read the earlier ones.
    """
    inside = set(prompt.layout.image_positions())
    words = [token for row, token in enumerate(prompt.ids[: prompt.prefix]) if row not in inside]
    stored = prefill(checkpoint, embed(checkpoint, words))
    variant = everything(stored.layers, len(words))
    return Pruned([variant], prompt.ids[prompt.prefix :], len(words))
