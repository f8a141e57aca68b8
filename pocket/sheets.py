"""Turns sheets (stories with questions) into the tensors of one training step.

Tokens of the pictures come first, then all questions side by side; each sees the pictures and
itself. Knows the prompt's form, which must equal the chat template's; nothing of losses.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pocket.features import Pages
from pocket.questions.story import Question, Story
from pocket.stories import Sheet
from pocket.tiles import PER_TILE, center_token
from pocket.tokenizer import build_tokenizer
from pocket.words import NAMES, VOCABULARY

WORD = {word: i for i, word in enumerate(VOCABULARY)}
IGNORE = -100
COMPARING = ("change", "move")
WEIGHING = ("count", *COMPARING)
# how a reply row is to look at evidence, see scaffold.LOOKS
AT, FIRST, SECOND, EACH, FINE_FIRST, FINE_SECOND = range(6)


@lru_cache(maxsize=1)
def _tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@lru_cache(maxsize=200_000)
def ids_of(text: str) -> tuple[int, ...]:
    """Token ids of a text, spellings folded."""
    return tuple(_tokenizer().backend_tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass(slots=True)
class Prefix:
    """Everything before the questions of one story; parallel lists, one entry per token."""

    ids: list[int] = field(default_factory=list)
    picture: list[int] = field(default_factory=list)  # -1 outside image tokens
    thing: list[int] = field(default_factory=list)  # -1 no object
    note: list[int] = field(default_factory=list)  # at the value of note i, else -1
    start: list[int] = field(default_factory=list)  # first image token of each picture
    base: list[bool] = field(default_factory=list)  # of the base tile, which shows all of a picture
    features: list[NDArray[np.float16]] = field(default_factory=list)
    newline: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, ids: tuple[int, ...]) -> None:
        """Append words."""
        blank = [-1] * len(ids)
        self.ids += ids
        self.picture += blank
        self.thing += blank
        self.note += blank
        self.base += [False] * len(ids)


def build_prefix(sheet: Sheet, pages: Pages) -> Prefix:
    """Pictures with their numbers, and the notes between them."""
    prefix, story = Prefix(), sheet.story
    prefix.add((WORD["<s>"],))
    for place in range(len(sheet.pictures) + 1):
        for i, said in enumerate(story.notes):
            if said.place == place:
                prefix.add(ids_of(said.text))
                value = len(prefix.ids) - 1 - prefix.ids[::-1].index(WORD[said.value])
                prefix.note[value] = i
        if place == len(sheet.pictures):
            break
        prefix.add((WORD["image"], WORD[story.number(place)]))
        prefix.start.append(len(prefix.ids))
        features, thing, newline = pages.tokens(sheet.pictures[place])
        prefix.ids += [WORD["<image>"]] * len(thing)
        prefix.picture += [place] * len(thing)
        prefix.thing += thing.tolist()
        prefix.note += [-1] * len(thing)
        prefix.base += [i < PER_TILE for i in range(len(thing))]
        prefix.features.append(features)
        prefix.newline.append(newline)
    return prefix


@dataclass(frozen=True, slots=True)
class Fetch:
    """The reply row should attend, in layer 0 and this head, to this question word."""

    row: int
    column: int
    head: int


def _find(ids: list[int], wanted: int, after_image: bool) -> int | None:
    """Where `wanted` stands last; numbers of pictures follow "image" (or "and"), digits do not.

    Last: what is said before the question may name other things.
    """
    for i, token in reversed(list(enumerate(ids))):
        follows = i > 0 and ids[i - 1] in (WORD["image"], WORD["and"])
        if token == wanted and follows == after_image:
            return i
    return None


def fetches(question: Question, ids: list[int], reply: int, base: int) -> list[Fetch]:
    """Colour or name by head 0, kind by head 1, picture numbers by heads 2 and 3."""
    found: list[tuple[int | None, int]] = []
    if question.color is not None:
        found.append((_find(ids, WORD[question.color], False), 0))
    if question.name is not None:
        found.append((_find(ids, WORD[question.name], False), 0))
    if question.kind is not None:
        found.append((_find(ids, WORD[question.kind], False), 1))
    for head, number in zip((2, 3), question.numbers, strict=False):
        found.append((_find(ids, WORD[number], True), head))
    return [Fetch(base + reply, base + at, head) for at, head in found if at is not None]


@dataclass(slots=True)
class Batch:
    """One step; B stories, P prefix tokens, R question tokens, all padded on the right."""

    prefix: Tensor  # (B, P) ids
    lengths: Tensor  # (B,)
    visible: Tensor  # (B, P) bool: what question rows may look at; padding is not
    picture: Tensor  # (B, P)
    number: Tensor  # (B, P) number of the picture minus one, -1 outside
    features: Tensor  # (image tokens, vision width), in order of `prefix == <image>`
    newline: Tensor  # (image tokens,)
    asked: Tensor  # (B, R) ids
    which: Tensor  # (B, R) index of the question, -1 padding
    place: Tensor  # (B, R) position counted from the question's start
    target: Tensor  # (B, R) next id, IGNORE outside answers
    stories: list[Story]
    replies: list[tuple[int, int, Question]]  # (story, reply row, question)
    fetch: Tensor  # (n, 4): story, row, column, head
    binding: Tensor  # (k, 4): story, value token, name token, name
    pointer: Tensor  # (m, 3): story, row, mode of the look
    evidence: Tensor  # (m, P) bool: tokens of one evidence group

    def weighing(self, tasks: tuple[str, ...] = WEIGHING) -> Tensor:
        """(story, reply row) of questions of these tasks, (n, 2); those that count or compare."""
        rows = [(b, row) for b, row, q in self.replies if q.task in tasks]
        return torch.tensor(rows, dtype=torch.long).reshape(-1, 2)


def bindings(story: int, prefix: Prefix, sheet: Sheet) -> list[tuple[int, int, int, int]]:
    """(story, value token, name token, name) of every note: the value must learn its name."""
    found = []
    for at, note in enumerate(prefix.note):
        if note >= 0:
            name = sheet.story.notes[note].name
            before = prefix.ids[max(0, at - 5) : at]
            if WORD[name] in before:
                back = before[::-1].index(WORD[name]) + 1
                found.append((story, at, at - back, NAMES.index(name)))
    return found


def _evidence(prefix: Prefix, group: tuple[tuple[int, int], ...]) -> list[int]:
    """Prefix tokens that show one of the things."""
    wanted = set(group)
    at: list[int] = []
    for i, (p, t, n) in enumerate(zip(prefix.picture, prefix.thing, prefix.note, strict=True)):
        if (p >= 0 and t >= 0 and (p, t) in wanted) or (n >= 0 and (-1, n) in wanted):
            at.append(i)
    return at


def looks(
    question: Question, story: Story, prefix: Prefix, reply: int
) -> list[tuple[int, int, list[int]]]:
    """(row, mode, prefix tokens) of each group of evidence; counting adds the prompt's start."""
    found = []
    for offset, groups in question.pointers:
        first = min((group[0][0] for group in groups), default=0)
        for group in groups:
            at = _evidence(prefix, group)
            compared = FIRST if group[0][0] == first else SECOND
            mode = {"change": compared, "move": compared, "count": EACH}.get(question.task, AT)
            if mode == EACH:  # one token for each thing, or large things would count more
                at = [_center(story, prefix, place) for place in group]
            elif mode != AT:  # other tiles tell a place in the tile, not in the picture
                if question.task == "change":  # but what small things are is read in them alone
                    fine = FINE_FIRST + (mode - FIRST)
                    found.append((reply + offset, fine, [i for i in at if not prefix.base[i]]))
                at = [i for i in at if prefix.base[i]] or at
            found.append((reply + offset, mode, at))
    if question.task == "count":
        found.append((reply, EACH, [0]))
    return [look for look in found if look[2]]


def _center(story: Story, prefix: Prefix, place: tuple[int, int]) -> int:
    """The prefix token of the grid patch in the middle of a thing."""
    scene, thing = story.scenes[place[0]], story.thing(place)
    return prefix.start[place[0]] + center_token(scene.width, scene.height, thing.x, thing.y)


def _pad(rows: list[list[int]], fill: int) -> Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def collate(sheets: list[tuple[Sheet, Pages]]) -> Batch:
    """One batch of sheets with about as many pictures each."""
    prefixes = [build_prefix(sheet, pages) for sheet, pages in sheets]
    asked: list[list[int]] = []
    which: list[list[int]] = []
    place: list[list[int]] = []
    target: list[list[int]] = []
    replies: list[tuple[int, int, Question]] = []
    fetch: list[tuple[int, int, int, int]] = []
    binding: list[tuple[int, int, int, int]] = []
    pointer: list[tuple[int, int, int]] = []
    evidence: list[list[int]] = []
    for b, (sheet, _) in enumerate(sheets):
        binding += bindings(b, prefixes[b], sheet)
        for column in (asked, which, place, target):
            column.append([])
        for q, question in enumerate(sheet.questions):
            said = [WORD["<q>"], *ids_of(question.text), WORD["<a>"]]
            answer = [*ids_of(question.answer), WORD["</s>"]]
            base, reply = len(asked[b]), len(said) - 1
            whole = said + answer[:-1]
            asked[b] += whole
            which[b] += [q] * len(whole)
            place[b] += range(len(whole))
            target[b] += [IGNORE] * reply + answer
            replies.append((b, base + reply, question))
            fetch += [(b, f.row, f.column, f.head) for f in fetches(question, said, reply, base)]
            for row, mode, at in looks(question, sheet.story, prefixes[b], base + reply):
                pointer.append((b, row, mode))
                evidence.append(at)
    ids = _pad([p.ids for p in prefixes], WORD["<pad>"])
    picture = _pad([p.picture for p in prefixes], -1)
    offsets = torch.tensor([sheet.story.offset for sheet, _ in sheets])[:, None]
    mask = torch.zeros(len(evidence), ids.shape[1], dtype=torch.bool)
    for row, columns in enumerate(evidence):
        mask[row, columns] = True
    lengths = torch.tensor([len(p.ids) for p in prefixes])
    return Batch(
        prefix=ids,
        lengths=lengths,
        visible=torch.arange(ids.shape[1])[None] < lengths[:, None],
        picture=picture,
        number=torch.where(picture >= 0, picture + offsets, -1),
        features=torch.from_numpy(np.concatenate([f for p in prefixes for f in p.features])),
        newline=torch.from_numpy(np.concatenate([n for p in prefixes for n in p.newline])),
        asked=_pad(asked, WORD["<pad>"]),
        which=_pad(which, -1),
        place=_pad(place, 0),
        target=_pad(target, IGNORE),
        stories=[sheet.story for sheet, _ in sheets],
        replies=replies,
        fetch=torch.tensor(fetch, dtype=torch.long).reshape(-1, 4),
        binding=torch.tensor(binding, dtype=torch.long).reshape(-1, 4),
        pointer=torch.tensor(pointer, dtype=torch.long).reshape(-1, 3),
        evidence=mask,
    )
