"""Scaffolding losses: where the reply row should look, and what it should know by then.

Thrown away after training, and switched off in the last third of it; the model card says so.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.questions.story import Question, Story
from pocket.reader import Layer
from pocket.scene import shape_number
from pocket.sheets import AT, COMPARING, EACH, FINE_FIRST, FINE_SECOND, FIRST, SECOND, Batch
from pocket.words import COLORS, NAMES

# Layer -> (mode of the look, head) of the reply row: at the evidence; at the first and the second
# of two compared pictures, their base tile and (for a change) the other tiles; at each counted
# picture and the start of the prompt, so that the share left on the start tells how many pictures
# there are.
LOOKS: dict[int, tuple[tuple[int, int], ...]] = {
    2: ((AT, 1),),
    3: ((FIRST, 0), (SECOND, 1), (EACH, 2), (FINE_FIRST, 2), (FINE_SECOND, 3)),
}
GATHER_LAYER = 3  # whose output must hold what was looked at
EARLY_LAYER = 4  # whose output must already say what was counted or compared
BIND_HEAD = 3
NUMBERS = 16
KINDS = 18  # shapes, then digits
SUMMARY = KINDS + len(COLORS) + 2  # of what one picture shows


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each scaffold weighs."""

    fetch: float = 0.3
    known: float = 0.3
    index: float = 0.3
    pointer: float = 0.3
    bind: float = 0.3
    early: float = 0.3
    gathered: float = 1.0

    @classmethod
    def without_pointers(cls) -> "Weights":
        """For the sister: nothing says where to look, or what a look must have brought."""
        return cls(fetch=0, pointer=0, bind=0, early=0, gathered=0)


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
        self.kind = nn.Linear(hidden, KINDS)
        self.number = nn.Linear(hidden, NUMBERS)
        self.name = nn.Linear(hidden, len(NAMES))
        self.bound = nn.Linear(hidden, len(NAMES))
        self.shown = nn.Linear(hidden, NUMBERS)
        self.compared = nn.Linear(hidden, 2 * SUMMARY)

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

    def gathered(self, layer: Layer, batch: Batch) -> Tensor:
        """After the looks: which pictures were counted; what each compared picture showed.

        Looking at the right places is not enough: the values must carry the picture's number,
        and kind, colour and place of the things, or nothing can be summed or subtracted.
        """
        width = batch.prefix.shape[1]
        loss = layer.output.new_zeros(())
        for tasks, head, cost in (
            (("count",), self.shown, _numbers_loss),
            (COMPARING, self.compared, _summary_loss),
        ):
            asked = [(b, row, q) for b, row, q in batch.replies if q.task in tasks]
            if asked:
                at = torch.tensor([(b, width + row) for b, row, _ in asked])
                hidden = F.rms_norm(layer.output[at[:, 0], at[:, 1]], layer.output.shape[-1:])
                loss = loss + cost(head(hidden), [(batch.stories[b], q) for b, _, q in asked])
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


def _numbers_loss(scores: Tensor, asked: list[tuple[Story, Question]]) -> Tensor:
    """Binary cross-entropy of the numbers of all pictures that count."""
    target = torch.zeros_like(scores)
    for row, (story, question) in enumerate(asked):
        for picture in question.pictures:
            target[row, picture + story.offset] = 1
    return 3 * F.binary_cross_entropy_with_logits(scores, target)


def summary(story: Story, places: list[tuple[int, int]]) -> list[float]:
    """Shares of kinds and of colours, and the mean place, of these things: SUMMARY numbers."""
    kinds, colors, middle = [0.0] * KINDS, [0.0] * len(COLORS), [0.0, 0.0]
    for place in places:
        thing, share = story.thing(place), 1 / len(places)
        kinds[shape_number(thing.kind)] += share
        colors[COLORS.index(thing.color)] += share
        middle[0] += share * thing.x
        middle[1] += share * thing.y
    return [*kinds, *colors, *middle]


def _summary_loss(scores: Tensor, asked: list[tuple[Story, Question]]) -> Tensor:
    """Cross-entropy of kinds and colours, distance of places, for both pictures."""
    targets = []
    for story, question in asked:
        places = [place for group in question.pointers[0][1] for place in group]
        for picture in sorted(question.pictures):
            targets.append(summary(story, [x for x in places if x[0] == picture]))
    target, said = torch.tensor(targets), scores.reshape(-1, SUMMARY)
    kind, color, place = slice(KINDS), slice(KINDS, SUMMARY - 2), slice(SUMMARY - 2, SUMMARY)
    loss = F.cross_entropy(said[:, kind], target[:, kind])
    loss = loss + F.cross_entropy(said[:, color], target[:, color])
    return loss + 10 * F.smooth_l1_loss(said[:, place], target[:, place], beta=0.1)


def _kind_target(kind: str | None) -> int:
    try:
        return -1 if kind is None else shape_number(kind)
    except ValueError:
        return -1  # a shape that is never drawn
