"""Tokens in, text out, as soon as the text is certain.

Held back: bytes that are not yet a whole character, what may be the beginning of a stop string,
and white space at both ends. The pieces joined are the answer. Nothing here knows the model.
"""

from collections.abc import Callable, Sequence
from typing import Any

UNFINISHED = "�"


class TextStream:
    """The text of one answer, token by token; `stopped` once a stop string has been seen."""

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:  # noqa: ANN401
        self.stopped = False
        self._decode = decoder_of(tokenizer)
        self._stop = tuple(stop)
        self._ids: list[int] = []
        # Decoding restarts at `_from`, a token before what was already shown up to `_shown`:
        # some tokenizers strip the first token's leading space.
        self._from = 0
        self._shown = 0
        self._held = ""
        self._begun = False

    def push(self, token: int) -> str:
        """Take in one token; the text that is certain by now, often empty."""
        if self.stopped:
            return ""
        self._ids.append(token)
        before = self._decode(self._ids[self._from : self._shown])
        now = self._decode(self._ids[self._from :])
        if len(now) <= len(before) or now.endswith(UNFINISHED):
            return ""
        self._from, self._shown = self._shown, len(self._ids)
        self._held += now[len(before) :]
        return self._release()

    def finish(self) -> str:
        """The rest of the text, once no token will come any more."""
        if not self.stopped:
            before = self._decode(self._ids[self._from : self._shown])
            self._held += self._decode(self._ids[self._from :])[len(before) :]
            self._cut()
        rest, self._held = self._held.rstrip(), ""
        return rest if self._begun else rest.lstrip()

    def _release(self) -> str:
        """Give out what can neither be part of a stop string nor white space at an end."""
        self._cut()
        if not self._begun:
            self._held = self._held.lstrip()
        keep = 0 if self.stopped else self._doubtful()
        certain = self._held[: len(self._held) - keep].rstrip()
        self._held = self._held[len(certain) :]
        self._begun |= bool(certain)
        return certain

    def _cut(self) -> None:
        """Drop the earliest stop string and all after it."""
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._held, self.stopped = self._held[: min(found)], True

    def _doubtful(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        lengths = (
            size
            for stop in self._stop
            for size in range(min(len(stop) - 1, len(self._held)), 0, -1)
            if self._held.endswith(stop[:size])
        )
        return max(lengths, default=0)


def decoder_of(tokenizer: Any) -> Callable[[list[int]], str]:  # noqa: ANN401
    """The function from tokens to text, special tokens left out.

    transformers' own walks over its arguments in Python, 9 us for a token of which 3 are decoding:
    a twentieth of a small model's step. Where it adds nothing it is gone around.
    """
    if getattr(tokenizer, "is_fast", False) and not tokenizer.clean_up_tokenization_spaces:
        fast = tokenizer.backend_tokenizer
        return lambda ids: str(fast.decode(ids, skip_special_tokens=True))
    return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True))
