"""One ask inside the engine: what was asked, how far it is, and what it has answered.

Nothing here knows other rows, or how keys and logits come about.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from myopia.choices import Choices
from myopia.compress import Compression, SmallSet
from myopia.observer import Observer
from myopia.params import Picture, Pruning, Sampling
from myopia.prompt import Prompt
from myopia.pruning import Survivors
from myopia.report import CacheUse, Finished, FinishReason, Output, Timings, TokenLogprob, Usage
from myopia.sampling import Sampler, likeliest
from myopia.slots import Place
from myopia.streaming import TextStream
from myopia.workspace import Space

Reuse = Literal["none", "exact", "compressed"]


@dataclass(slots=True, eq=False)
class Row:
    """An ask from add to its ending."""

    ask_id: str
    prompt: Prompt
    pictures: list[Picture]
    options: tuple[str, ...]
    pruning: Pruning
    reuse: Reuse
    explain: bool
    deadline: float | None
    most_tokens: int
    stop_ids: frozenset[int]
    sampler: Sampler
    text: TextStream
    choices: Choices | None
    usage: Usage = field(default_factory=Usage)
    cache: CacheUse = field(default_factory=CacheUse)
    timings: Timings = field(default_factory=Timings)
    warnings: list[str] = field(default_factory=list)
    cells: int = 0  # what it will hold once it answers, as far as can be said before
    # While its prompt is read:
    read: int = 0
    space: Space | None = None
    alone: bool = False  # read beside others it went wrong, or they did
    fault: Exception | None = None
    probes: list[tuple[int, ...]] = field(default_factory=list)
    compression: Compression | None = None
    small: SmallSet | None = None
    observer: Observer | None = None
    features: dict[int, torch.Tensor] = field(default_factory=dict)
    survivors: list[Survivors] | None = None
    first_logits: torch.Tensor | None = None
    # While it answers:
    place: Place | None = None
    tokens: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    explained: dict[str, Any] | None = None
    added: float = field(default_factory=time.perf_counter)
    first: float = 0

    @property
    def params(self) -> Sampling:
        """How its tokens are chosen."""
        return self.sampler.params

    @property
    def position(self) -> int:
        """Where its newest token stands, counting the whole prompt."""
        return self.prompt.layout.length + len(self.tokens) - 1

    @property
    def dropped(self) -> int:
        """Tokens of its prompt that the small image set in the workspace lacks."""
        return 0 if self.small is None else self.prompt.prefix - self.small.keys.shape[2]

    @property
    def greedy(self) -> bool:
        """Whether its next token is plainly the likeliest."""
        return self.params.temperature == 0 and self.choices is None

    def let_go(self) -> None:
        """Forget what only reading the prompt needed."""
        self.observer = self.survivors = self.first_logits = self.compression = self.small = None
        self.pictures, self.probes = [], []

    def take(self, logits: torch.Tensor, token: int | None, tokenizer: Any) -> Output:  # noqa: ANN401
        """Go on by one token, chosen here where none is given, from logits `(V,)` float32."""
        if token is None:
            allowed = self.choices.allowed() if self.choices else None
            token = self.sampler.choose(logits, allowed)
        if not self.tokens:
            self.first = time.perf_counter()
            self.timings.first_token_ms = (self.first - self.added) * 1e3
        self.tokens.append(token)
        if self.params.logprobs is not None:
            self.logprobs.append(_logprob(logits, token, self.params.logprobs, tokenizer))
        if self.choices is not None:
            return self._chosen(token)
        ends = token in self.stop_ids
        piece = "" if ends else self.text.push(token)
        if ends or self.text.stopped:
            return self.finish("stop", piece)
        if len(self.tokens) >= self.most_tokens:
            return self.finish("length", piece)
        self.pieces.append(piece)
        return Output(self.ask_id, piece, (token,))

    def finish(self, reason: FinishReason, piece: str = "") -> Output:
        """The good ending; what text was held back comes with it."""
        if self.choices is None:
            piece += self.text.finish()
        elif self.choices.decided is not None:
            piece = self.options[self.choices.decided]
        self.pieces.append(piece)
        now = time.perf_counter()
        self.timings.decode_ms = (now - self.first) * 1e3 if self.tokens else 0.0
        self.timings.total_ms = (now - self.added) * 1e3
        self.usage.completion_tokens = len(self.tokens)
        finished = Finished(
            reason,
            "".join(self.pieces),
            self.usage,
            self.cache,
            self.timings,
            (*self.prompt.warnings, *self.warnings),
            tuple(self.logprobs) if self.params.logprobs is not None else None,
            self.explained,
        )
        newest = tuple(self.tokens[-1:]) if reason != "cancelled" else ()
        return Output(self.ask_id, piece, newest, finished=finished)

    def _chosen(self, token: int) -> Output:
        assert self.choices is not None
        self.choices.push(token)
        if self.choices.decided is None and len(self.tokens) >= self.most_tokens:
            self.choices.settle()
        if self.choices.decided is not None:
            return self.finish("stop")
        return Output(self.ask_id, "", (token,))


def _logprob(logits: torch.Tensor, token: int, count: int, tokenizer: Any) -> TokenLogprob:  # noqa: ANN401
    own, top = likeliest(logits, token, count)
    return TokenLogprob(
        tokenizer.decode([token]), own, tuple((tokenizer.decode([one]), log) for one, log in top)
    )
