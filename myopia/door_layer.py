"""One layer of the library door's cache: full until prefill is over, then short and biased.

Physical layout after `settle`: [junk | bins | kept | tail], every row's survivors to the right.
Length is logical towards transformers (positions, masks), physical in memory. It knows no policy,
no images and no model; what survives is told to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers.cache_utils import DynamicLayer

from myopia.errors import Unsupported
from myopia.pruning import Survivors


@dataclass(slots=True)
class Settled:
    """What a layer knows once it is pruned."""

    floor: int  # physical slots before the tail
    dropped: int  # logical length minus physical length
    bias: torch.Tensor | None  # (B, H or 1, floor) float32: of bins, -inf-like on junk
    positions: list[torch.Tensor] = field(default_factory=list)  # per row, (H or 1, K)
    bins: list[int] = field(default_factory=list)  # per row


class MyopiaLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer; `settled` is None until it was pruned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.settled: Settled | None = None

    @property
    def stored(self) -> int:
        """Slots in memory."""
        return super().get_seq_length()

    def get_seq_length(self) -> int:
        """Tokens fed so far, dropped ones included: what positions and `generate` count by."""
        return self.stored + (self.settled.dropped if self.settled else 0)

    def row(self, index: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values `(H, S, D)` of one row without its padding."""
        if self.keys is None or self.values is None:
            raise ValueError("the layer is empty")
        return self.keys[index, :, pad:], self.values[index, :, pad:]

    def settle(self, rows: Sequence[Survivors]) -> None:
        """Replace the full KV by each row's survivors."""
        full, held = self.stored, max(row.keys.shape[1] for row in rows)
        ragged = any(row.keys.shape[1] < held for row in rows)
        heads, width = rows[0].keys.shape[0], rows[0].keys.shape[2]
        keys = rows[0].keys.new_zeros(len(rows), heads, held, width)  # junk must be finite
        values = rows[0].values.new_zeros(len(rows), heads, held, rows[0].values.shape[2])
        bias = None
        biases = [row.bias for row in rows if row.bias is not None]
        if ragged or biases:
            wise = any(not torch.equal(one, one[:1].expand_as(one)) for one in biases)
            bias = torch.zeros(len(rows), keys.shape[1] if wise else 1, held, device=keys.device)
        for index, row in enumerate(rows):
            first = held - row.keys.shape[1]
            keys[index, :, first:], values[index, :, first:] = row.keys, row.values
            if bias is not None:
                bias[index, :, :first] = torch.finfo(torch.float32).min
                if row.bias is not None:
                    bias[index, :, first:] = row.bias[: bias.shape[1]]
        self.keys, self.values = keys, values
        positions = [row.positions for row in rows]
        self.settled = Settled(held, full - held, bias, positions, [row.bins for row in rows])

    def additive_mask(self, query: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
        """Mask `(B, Q or 1, T, stored)` in the query's dtype: the bias before, causality behind.

        query `(B, Q, T, D)`; `mask` is what transformers made for some layer's width: only its
        last columns, those of the tail, are about this layer too. None: nothing is hidden.
        """
        assert self.settled is not None
        rows, fresh = query.shape[2], self.stored - self.settled.floor
        bias = self.settled.bias
        if bias is None and mask is None and rows == 1:
            return None
        least = torch.finfo(query.dtype).min
        if mask is None:
            order = torch.arange(fresh, device=query.device)
            hidden = order[None, :] > order[fresh - rows :, None]
            tail = torch.zeros(1, 1, rows, fresh, device=query.device, dtype=query.dtype)
            tail.masked_fill_(hidden, least)
        elif mask.dtype == torch.bool:
            tail = torch.zeros_like(mask[..., -fresh:], dtype=query.dtype)
            tail.masked_fill_(~mask[..., -fresh:], least)
        else:
            tail = mask[..., -fresh:].to(query.dtype)
        if bias is None:
            bias = query.new_zeros(1, 1, self.settled.floor)
        if bias.shape[1] > 1:
            bias = bias.repeat_interleave(query.shape[1] // bias.shape[1], dim=1)
        size = (query.shape[0], bias.shape[1], rows)
        prefix = bias.to(query.dtype).clamp_min(least)[:, :, None].expand(*size, -1)
        return torch.cat([prefix, tail.expand(*size, -1)], dim=-1)

    def reset(self) -> None:
        """Forget everything, also what was dropped."""
        super().reset()
        self.settled = None

    def crop(self, tokens_to_remove: int) -> None:
        """Take tokens off the tail; what was pruned cannot be cut."""
        if self.settled and abs(tokens_to_remove) > self.stored - self.settled.floor:
            raise Unsupported("crop would cut into the pruned prompt; reset the cache instead")
        super().crop(tokens_to_remove)

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Permute rows, with all that belongs to them."""
        super().reorder_cache(beam_idx)
        self._rows(beam_idx.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        batch = 0 if self.keys is None else self.keys.shape[0]
        super().batch_repeat_interleave(repeats)
        self._rows([row for row in range(batch) for _ in range(repeats)])

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._rows(
            torch.arange(len(indices))[indices].tolist()
            if indices.dtype == torch.bool
            else indices.tolist()
        )

    def _rows(self, rows: list[int]) -> None:
        """Permute what lies beside keys and values."""
        if self.settled is None:
            return
        if self.settled.bias is not None:
            self.settled.bias = self.settled.bias[rows]
        self.settled.positions = [self.settled.positions[row] for row in rows]
        self.settled.bins = [self.settled.bins[row] for row in rows]
