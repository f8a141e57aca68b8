"""What a step has brought each row: its logits, and its next token where that is certain.

Nothing here knows how logits come about, or what a row does with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia.row import Row


@dataclass(frozen=True, slots=True)
class News:
    """A row's next logits `(V,)` float32, its token if it is plainly the likeliest, and sanity."""

    row: Row
    logits: torch.Tensor
    token: int | None
    sound: bool


def news_of(rows: Sequence[Row], logits: torch.Tensor) -> list[News]:
    """What logits `(B, V)` are for each row; the device is waited for once."""
    logits = logits.float()
    # The maximum of a row with a NaN is NaN.
    highest, likeliest = logits.max(-1)
    sane, tokens = torch.stack([(~highest.isnan()).long(), likeliest]).tolist()
    return [
        News(row, own, token if row.greedy else None, bool(sound))
        for row, own, token, sound in zip(rows, logits, tokens, sane, strict=True)
    ]
