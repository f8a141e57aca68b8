"""Keeps an answer to one of given options: which tokens may come next, and when it is decided.

Nothing here knows scores or sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from myopia.errors import BadRequest


@dataclass(slots=True)
class _Node:
    """A point reached by some options' first tokens."""

    next: dict[int, "_Node"] = field(default_factory=dict)
    option: int | None = None


class Choices:
    """Walks the options' tokens; `decided` is the index of the option once it is certain."""

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - tokenizers are untyped
        options: Sequence[str],
        stop_ids: frozenset[int],
    ) -> None:
        self.decided: int | None = None
        self.longest = 0
        self._stop_ids = stop_ids
        self._root = self._here = _Node()
        for index, option in enumerate(options):
            for ids in _spellings(tokenizer, option):
                self._add(ids, index, options)

    def allowed(self) -> list[int]:
        """Tokens that may come next; a stop token where an option may end here."""
        ends = sorted(self._stop_ids) if self._here.option is not None else []
        return [*sorted(self._here.next), *ends]

    def push(self, token: int) -> None:
        """Take in the token that was chosen among `allowed`."""
        if token in self._stop_ids and self._here.option is not None:
            self.decided = self._here.option
            return
        self._here = self._here.next[token]
        if not self._here.next:
            self.decided = self._here.option

    def settle(self) -> None:
        """Decide for the option that ends here, if one does: no further token will come."""
        self.decided = self._here.option

    def _add(self, ids: Sequence[int], index: int, options: Sequence[str]) -> None:
        self.longest = max(self.longest, len(ids))
        node = self._root
        for one in ids:
            node = node.next.setdefault(one, _Node())
        if node is self._root:
            raise BadRequest(f"option {index + 1} is empty to this model", field="/options")
        if node.option not in (None, index):
            raise BadRequest(
                f"options {(node.option or 0) + 1} and {index + 1} are the same to this model "
                f"({options[node.option or 0]!r}, {options[index]!r}); word them differently",
                field="/options",
            )
        node.option = index


def _spellings(tokenizer: Any, option: str) -> list[tuple[int, ...]]:  # noqa: ANN401
    """Tokens of an option at the start of an answer, with and without a space in front.

    After `ASSISTANT:` a byte-level tokenizer goes on with ` yes`, after ChatML's line break with
    `yes`. Sentencepiece adds its own space: there the second spelling is longer, and left out.
    """
    text = option.strip()
    known = tokenizer.added_tokens_decoder

    def read(text: str) -> tuple[int, ...]:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        unknown = tokenizer.unk_token_id
        return tuple(one for one in ids if one not in known or one == unknown)

    plain, spaced = read(text), read(" " + text)
    return [plain] if spaced == plain or len(spaced) > len(plain) else [plain, spaced]
