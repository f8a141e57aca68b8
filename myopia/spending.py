"""What a row's reading cost it: milliseconds of work, alone or shared, and what it holds after.

Nothing here knows what the work was.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from myopia.pruning import Survivors
from myopia.row import Row

Work = Literal["vision_ms", "prefill_ms", "prune_ms"]


@contextmanager
def timed(
    rows: Row | Sequence[Row], name: Work, shares: Sequence[float] | None = None
) -> Iterator[None]:
    """Add the block's milliseconds to the rows' timings, by their shares (None: evenly)."""
    rows = [rows] if isinstance(rows, Row) else rows
    shares = [1] * len(rows) if shares is None else shares
    began = time.perf_counter()
    yield
    spent = (time.perf_counter() - began) * 1e3 / sum(shares)
    for row, share in zip(rows, shares, strict=True):
        setattr(row.timings, name, getattr(row.timings, name) + spent * share)


def count_survivors(row: Row, survivors: Sequence[Survivors]) -> None:
    """Count what a row holds after pruning, by its tensors."""
    usage, layers = row.usage, len(survivors)
    bins = sum(layer.bins for layer in survivors)
    slots = sum(layer.keys.shape[1] for layer in survivors)
    usage.bin_tokens = bins / layers
    usage.kept_tokens = (slots - bins) / layers - usage.text_tokens
    usage.kv_bytes = sum(
        tensor.numel() * tensor.element_size()
        for layer in survivors
        for tensor in (layer.keys, layer.values)
    )
    biases = [layer.bias[:, : layer.bins] for layer in survivors if layer.bias is not None]
    usage.kv_bytes += sum(bias.numel() * bias.element_size() for bias in biases)
    if row.pruning.budget_scope == "total":
        usage.budget_effective = slots / layers / usage.prompt_tokens
    elif usage.image_tokens:
        usage.budget_effective = (usage.kept_tokens + usage.bin_tokens) / usage.image_tokens
    else:
        usage.budget_effective = 1.0
