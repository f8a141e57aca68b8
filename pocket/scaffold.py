"""Scaffolding losses: where the reply row should look, and what it should know by then.

Thrown away after training, and switched off in the last third of it; the model card says so.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.reader import Layer
from pocket.scene import shape_number
from pocket.sheets import AT, EACH, FIRST, SECOND, Batch
from pocket.words import COLORS, NAMES

# Layer -> (mode of the look, head) of the reply row: at the evidence; at the first and the second
# of two compared pictures; at each counted picture and the start of the prompt, so that the share
# left on the start tells how many pictures there are.
LOOKS: dict[int, tuple[tuple[int, int], ...]] = {
    2: ((AT, 1),),
    3: ((FIRST, 0), (SECOND, 1), (EACH, 2)),
}
EARLY_LAYER = 3  # whose output must already say what was counted or compared
BIND_HEAD = 3
NUMBERS = 16


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each scaffold weighs."""

    fetch: float = 0.3
    known: float = 0.3
    index: float = 0.3
    pointer: float = 0.3
    bind: float = 0.3
    early: float = 0.3


def _row_logits(layer: Layer, rows: Tensor, story: Tensor, head: Tensor, batch: Batch) -> Tensor:
    """Attention logits (n, P + R) of question rows, forbidden columns at -inf."""
    width = batch.prefix.shape[1]
    query = layer.query[story, head, width + rows]
    keys = layer.key[story, head]
    logits: Tensor = torch.einsum("nd,nsd->ns", query, keys) * query.shape[-1] ** -0.5
    columns = torch.arange(batch.asked.shape[1])
    same = batch.which[story] == batch.which[story, rows][:, None]
    own = same & (columns[None] <= rows[:, None])
    visible = torch.arange(width)[None] < batch.lengths[story][:, None]
    return logits.masked_fill(~torch.cat([visible, own], dim=1), float("-inf"))


class Scaffold(nn.Module):
    """Heads that read off what a row knows, and the attention losses."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.index = nn.Linear(hidden, NUMBERS)
        self.color = nn.Linear(hidden, len(COLORS))
        self.kind = nn.Linear(hidden, 18)
        self.number = nn.Linear(hidden, NUMBERS)
        self.name = nn.Linear(hidden, len(NAMES))
        self.bound = nn.Linear(hidden, len(NAMES))

    def fetch(self, layer: Layer, batch: Batch) -> Tensor:
        """Layer 0: the reply row attends to the question's colour, kind and number words."""
        story, row, column, head = batch.fetch.unbind(1)
        logits = _row_logits(layer, row, story, head, batch)
        at = batch.prefix.shape[1] + column
        return (logits.logsumexp(1) - logits.gather(1, at[:, None])[:, 0]).mean()

    def known(self, layer: Layer, batch: Batch) -> Tensor:
        """After layer 0 the reply row must name those words."""
        width = batch.prefix.shape[1]
        places = torch.tensor([(b, width + r) for b, r, _ in batch.replies])
        hidden = F.rms_norm(layer.output[places[:, 0], places[:, 1]], layer.output.shape[-1:])
        asked = [q for _, _, q in batch.replies]
        wanted = {
            self.color: [COLORS.index(q.color) if q.color in COLORS else -1 for q in asked],
            self.kind: [_kind_target(q.kind) for q in asked],
            self.number: [int(q.numbers[0]) - 1 if q.numbers else -1 for q in asked],
            self.name: [NAMES.index(q.name) if q.name is not None else -1 for q in asked],
        }
        loss = hidden.new_zeros(())
        for head, targets in wanted.items():
            target = torch.tensor(targets)
            if (target >= 0).any():
                loss = loss + F.cross_entropy(head(hidden), target, ignore_index=-1)
        return loss

    def which_image(self, layer: Layer, batch: Batch) -> tuple[Tensor, float]:
        """After layer 1 image tokens must know their picture's number; a quarter is asked."""
        width = batch.prefix.shape[1]
        asked = (batch.number >= 0) & (torch.rand(batch.number.shape) < 0.25)
        hidden = F.rms_norm(layer.output[:, :width][asked], layer.output.shape[-1:])
        scores, target = self.index(hidden), batch.number[asked]
        return F.cross_entropy(scores, target), (scores.argmax(1) == target).float().mean().item()

    def bind(self, layer: Layer, batch: Batch) -> Tensor:
        """Layer 1: a note's value attends to the note's name, and then can tell it."""
        story, value, name, which = batch.binding.unbind(1)
        query, width = layer.query[story, BIND_HEAD, value], batch.prefix.shape[1]
        keys = layer.key[story, BIND_HEAD, :width]
        logits = torch.einsum("nd,nsd->ns", query, keys) * query.shape[-1] ** -0.5
        later = torch.arange(width)[None] > value[:, None]
        logits = logits.masked_fill(later, float("-inf"))
        attended = (logits.logsumexp(1) - logits.gather(1, name[:, None])[:, 0]).mean()
        hidden = F.rms_norm(layer.output[story, value], layer.output.shape[-1:])
        loss: Tensor = attended + F.cross_entropy(self.bound(hidden), which)
        return loss

    def pointer(self, layer: Layer, batch: Batch, depth: int) -> Tensor:
        """The reply row spreads one head's attention evenly over the groups of its evidence."""
        total = layer.key.new_zeros(())
        for mode, number in LOOKS[depth]:
            chosen = batch.pointer[:, 2] == mode
            if chosen.any():
                total = total + self._look(layer, batch, chosen, number)
        return total

    @staticmethod
    def _look(layer: Layer, batch: Batch, chosen: Tensor, number: int) -> Tensor:
        story, row, _ = batch.pointer[chosen].unbind(1)
        logits = _row_logits(layer, row, story, torch.full_like(row, number), batch)
        evidence = batch.evidence[chosen]
        on_evidence = logits[:, : evidence.shape[1]].masked_fill(~evidence, float("-inf"))
        loss = logits.logsumexp(1) - on_evidence.logsumexp(1)
        _, rank, groups = torch.unique(
            story * 100_000 + row, return_inverse=True, return_counts=True
        )
        shared = groups[rank].float()
        mean: Tensor = ((loss - shared.log()) / shared).sum() / (1 / shared).sum()
        return mean


def _kind_target(kind: str | None) -> int:
    try:
        return -1 if kind is None else shape_number(kind)
    except ValueError:
        return -1  # a shape that is never drawn
