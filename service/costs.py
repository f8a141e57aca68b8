"""What an ask will cost, from the sizes of its pictures and the model's own facts.

The facts come from the workers' cards, so the gateway needs no model. LLaVA-NeXT's arithmetic of
any-resolution tiles (Source: transformers `select_best_resolution`, `unpad_image`); a test holds
it against the library's. Nothing here knows HTTP.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from wire.pruning import Pruning, Tiles

CHARS_PER_TOKEN = 4.0  # English under a sentencepiece vocabulary: 3.5 to 4.5.
TEMPLATE_TOKENS = 16  # What chat templates put round one question: 5 to 30.


class Costs(BaseModel):
    """A model's facts; sizes in pixels are (height, width), as in its pinpoints."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tile: int
    patch: int
    pinpoints: tuple[tuple[int, int], ...]
    context: int
    kv_bytes_per_token: int

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Self | None:
        """The costs of a model, None when no worker told its facts."""
        return cls.model_validate(facts) if set(cls.model_fields) <= set(facts) else None

    def tokens(self, width: int, height: int, tiles: Tiles = "auto") -> int:
        """Tokens of one picture; `auto` is counted as the most it may take."""
        side = self.tile // self.patch
        if tiles == "base":
            return side * side
        rows, columns = self._grid(height, width)
        return side * side + rows * (columns + 1)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        best_height, best_width = self._best(height, width)
        side = self.tile // self.patch
        rows, columns = best_height // self.tile * side, best_width // self.tile * side
        if width / height > columns / rows:
            inner = int(round(height * (columns / width), 7))
            return rows - (rows - inner) // 2 * 2, columns
        inner = int(round(width * (rows / height), 7))
        return rows, columns - (columns - inner) // 2 * 2

    def _best(self, height: int, width: int) -> tuple[int, int]:
        def worth(pinpoint: tuple[int, int]) -> tuple[int, int]:
            scale = min(pinpoint[1] / width, pinpoint[0] / height)
            useful = min(int(width * scale) * int(height * scale), width * height)
            return useful, useful - pinpoint[0] * pinpoint[1]

        return max(self.pinpoints, key=worth)

    def kv_bytes(self, image_tokens: int, text_tokens: int, pruning: Pruning) -> int:
        """Bytes of keys and values after pruning, over all layers; for `auto` the most."""
        budget = 1.0 if pruning.budget == "auto" or pruning.policy == "full" else pruning.budget
        if pruning.budget_scope == "total" and budget < 1:
            whole = math.ceil(budget * (image_tokens + text_tokens))
            kept = min(image_tokens, max(0, whole - text_tokens))
        else:
            kept = math.ceil(budget * image_tokens)
        return (text_tokens + kept) * self.kv_bytes_per_token


def text_tokens(texts: Sequence[str]) -> int:
    """About how many tokens texts have: the gateway has no tokenizer."""
    return TEMPLATE_TOKENS + sum(
        max(len(text.split()), math.ceil(len(text) / CHARS_PER_TOKEN)) for text in texts
    )
