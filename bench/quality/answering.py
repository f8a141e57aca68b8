"""Answers of every pruning of one question, and how far each is from the whole cache's answer.

Open questions are decoded greedily, questions with choices by the likeliest first word. Knows
pruned caches and logits, not policies, datasets or tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import kl_div, log_softmax

from bench.quality.network import resume
from bench.quality.protocols import Pruned, Read, everything
from myopia.loading import Checkpoint

MOST_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Said:
    """One variant's answer: its text, the KL divergence `full || this` in nats, its agreement.

    `kl` and `agreement` are means over the tokens of the full cache's answer, teacher-forced;
    agreement is the share of tokens whose likeliest next token is the same.
    """

    text: str
    kl: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Reference:
    """What the whole cache answers: tokens, their logits `(T, V)`, and the text."""

    tokens: tuple[int, ...]
    logits: torch.Tensor
    text: str


class Answerer:
    """Answers one question; `choices` are its options, empty for an open question."""

    def __init__(self, checkpoint: Checkpoint, asked: Read, choices: Sequence[str] = ()) -> None:
        self._checkpoint, self._asked, self._choices = checkpoint, asked, tuple(choices)
        self._firsts = [first_token(checkpoint, choice) for choice in choices]
        if len(set(self._firsts)) != len(self._firsts):
            raise ValueError(f"choices that begin alike cannot be told apart here: {choices}")
        self.reference = self._refer()

    def say(self, pruned: Pruned) -> list[Said]:
        """Answers of all variants of a pruned cache."""
        reference = self.reference
        forced = self._logits(pruned, [reference.tokens] * len(pruned.variants))
        same = forced.argmax(-1) == torch.tensor(reference.tokens, device=forced.device)
        log_full = log_softmax(reference.logits, dim=-1).expand_as(forced)
        kl = kl_div(log_softmax(forced, dim=-1), log_full, reduction="none", log_target=True)
        divergence = kl.sum(-1).mean(-1).clamp_min(0)
        texts = self._texts(pruned, forced, same)
        return [
            Said(text, float(distance), float(share))
            for text, distance, share in zip(texts, divergence, same.float().mean(-1), strict=True)
        ]

    def _refer(self) -> Reference:
        prompt, full = self._asked.prompt, self._asked.full
        length = len(prompt.ids)
        whole = Pruned([everything(full.layers, length)], (), length)
        (tokens,) = self._greedy(whole)
        logits = self._logits(whole, [tokens])[0]
        text = self._choose(logits[0]) if self._choices else self._decode(tokens)
        return Reference(tuple(tokens), logits, text)

    def _texts(self, pruned: Pruned, forced: torch.Tensor, same: torch.Tensor) -> list[str]:
        if self._choices:
            return [self._choose(row[0]) for row in forced]
        texts = [self.reference.text] * len(pruned.variants)
        apart = [index for index, row in enumerate(same) if not bool(row.all())]
        if apart:
            some = Pruned([pruned.variants[i] for i in apart], pruned.tail, pruned.start)
            for index, tokens in zip(apart, self._greedy(some), strict=True):
                texts[index] = self._decode(tokens)
        return texts

    def _greedy(self, pruned: Pruned) -> list[list[int]]:
        """Greedy tokens of each variant up to and including its end token."""
        said: list[list[int]] = [[] for _ in pruned.variants]
        open_rows = list(range(len(said)))
        for _ in range(MOST_TOKENS):
            some = [pruned.variants[row] for row in open_rows]
            logits = self._logits(
                Pruned(some, pruned.tail, pruned.start), [[*said[row], 0] for row in open_rows]
            )
            for row, token in zip(open_rows, logits[:, -1].argmax(-1).tolist(), strict=True):
                said[row].append(int(token))
            stops = self._checkpoint.stop_ids
            open_rows = [row for row in open_rows if said[row][-1] not in stops]
            if not open_rows:
                break
        return said

    def _logits(self, pruned: Pruned, answers: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits `(B, T, V)` that predict each of the T answer tokens, teacher-forced."""
        fed = [[*pruned.tail, *answer[:-1]] for answer in answers]
        logits = self._asked.full.logits.expand(len(answers), 1, -1)
        if fed[0]:
            after = resume(self._checkpoint, pruned.variants, fed, pruned.start)
            if pruned.tail:
                return after[:, len(pruned.tail) - 1 :]
            logits = torch.cat([logits, after], dim=1)
        return logits

    def _choose(self, logits: torch.Tensor) -> str:
        return self._choices[int(logits[self._firsts].argmax())]

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._checkpoint.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()


def first_token(checkpoint: Checkpoint, text: str) -> int:
    """The first token that an answer of this text begins with."""
    ids = checkpoint.tokenizer(text, add_special_tokens=False).input_ids
    if not ids:
        raise ValueError(f"the tokenizer reads nothing in {text!r}")
    return int(ids[0])
