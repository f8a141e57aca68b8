"""A rule for the blind protocol: let the model describe every picture, keep what it looked at.

An experiment of the bench, no policy of the library: it costs one short answer per picture and
prefix. Scores, selection and bins stay the library's; only the evidence is made here.
Source: the pocket prototype's caption probe, the best question-agnostic rule measured there.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from bench.quality.answering import Answerer
from bench.quality.network import KeysValues, embed, prefill
from bench.quality.protocols import Pruned, Read, picture_layout
from myopia.evidence import Evidence
from myopia.layout import Layout
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.prompt import Prompt
from myopia.pruning import prune_row

LOOK = Pruning(alpha=1.0, guide="question", bin_mode="off")


class Probed(Observer):
    """Evidence of several captions: per image token the most that any caption looked at it."""

    def __init__(self, layout: Layout, captions: Sequence[Observer], layers: int) -> None:
        super().__init__(layout, LOOK, layers=layers)
        self._captions = captions

    def evidence(self, layer: int) -> Evidence:
        """The captions' text evidence, combined by maximum."""
        looked = [caption.evidence(layer).text for caption in self._captions]
        seen = torch.stack([text for text in looked if text is not None])
        return Evidence(layer=layer, layers=self.layers, text=seen.amax(0))


def probe(
    checkpoint: Checkpoint, asked: Read, captions: Sequence[Prompt], prunings: Sequence[Pruning]
) -> Pruned:
    """Survivors of the pictures alone; `captions` are "Describe image k." about the same ones.

    Prunings must use the question's rows alone (alpha 1): nothing else was seen.
    """
    if any(pruning.alpha != 1 or pruning.guide != "question" for pruning in prunings):
        raise ValueError("the probe sees what captions look at: alpha must be 1, guide `question`")
    prompt = asked.prompt
    past = tuple((k[:, : prompt.prefix], v[:, : prompt.prefix]) for k, v in asked.full.layers)
    observers = [_looked(checkpoint, asked, caption, past) for caption in captions]
    layout = picture_layout(prompt.layout)
    combined = Probed(layout, observers, checkpoint.layers)
    variants = [prune_row(past, combined, layout, pruning) for pruning in prunings]
    return Pruned(variants, prompt.ids[prompt.prefix :], prompt.prefix)


def _looked(
    checkpoint: Checkpoint, asked: Read, caption: Prompt, past: tuple[KeysValues, ...]
) -> Observer:
    """What the rows that say one caption looked at."""
    tail = caption.ids[caption.prefix :]
    stored = prefill(checkpoint, embed(checkpoint, tail), (), past)
    said = Answerer(checkpoint, replace(asked, prompt=caption, full=stored)).reference.tokens
    fed = (*tail, *said[:-1])
    rows = tuple(range(caption.prefix + len(tail) - 1, caption.prefix + len(fed)))
    layout = Layout(caption.prefix + len(fed), caption.layout.spans, rows)
    observer = Observer(layout, LOOK, layers=checkpoint.layers)
    prefill(checkpoint, embed(checkpoint, fed), [observer], past)
    return observer
