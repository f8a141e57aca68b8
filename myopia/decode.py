"""One token for every running row at once, over what survived of each.

Rows whose stretches of slots are neighbours of equal widths are attended in one call; the bias
block hides the slots a row has not filled. Nothing here knows how a token is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia.loading import Checkpoint
from myopia.slots import Place, Slots


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One layer of a run: its views, its longest row before the first step, if a mask is due."""

    keys: torch.Tensor  # (B, H, width, D)
    values: torch.Tensor
    bias: torch.Tensor  # (B, H, G, width)
    longest: int
    plain: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbours of equal widths: which rows of the batch, and their stretches by layer."""

    rows: slice
    layers: list[_Stretch]


class Batch:
    """The running rows in the order of their slots; rebuilt when a row joins or leaves."""

    def __init__(self, checkpoint: Checkpoint, slots: Slots, places: Sequence[Place]) -> None:
        self.checkpoint = checkpoint
        self.slots = slots
        self.places = sorted(places, key=lambda place: place.start)
        self.runs = [self._run(rows) for rows in self._neighbours()]
        self._steps = 0
        # Where each layer's next keys, and behind them its next values, go: (L, B, 2H).
        filled = torch.tensor([place.filled for place in self.places]).T[..., None]
        keys = (slots.origins_of(self.places) + filled).to(checkpoint.device)
        self._next = torch.cat([keys, keys + len(slots.keys)], dim=2).flatten(1)
        self._next_bias = keys.flatten()

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits `(B, V)` after each row's last token, in the order of `places`.

        Every row must have a free slot in every layer; `positions` count whole prompts.
        """
        self.slots.bias.index_fill_(0, self._next_bias, 0)
        self._steps += 1
        model = self.checkpoint.model
        given = torch.tensor([tokens, positions], device=self.checkpoint.device)
        embedded = model.get_input_embeddings()(given[0])
        hidden = self.checkpoint.text_model.one_token(embedded, given[1], self)
        logits = model.lm_head(hidden)
        self._next.add_(1)
        self._next_bias.add_(1)
        for place in self.places:
            place.filled = [length + 1 for length in place.filled]
        return torch.as_tensor(logits)

    def attend(self, layer: int, heads: torch.Tensor, scaling: float) -> torch.Tensor:
        """Write one layer's new keys and values, and attend every run over its slots."""
        rows, count, width = heads.shape
        queries = count - 2 * self.slots.heads
        new = heads[:, queries:].reshape(-1, width)
        self.slots.stored.index_copy_(0, self._next[layer], new)
        # Queries that share a key head become rows of one small matrix: no key is repeated.
        grouped = heads[:, :queries].view(rows, self.slots.heads, -1, width)
        if len(self.runs) == 1:
            attended = self._attend(self.runs[0].layers[layer], grouped, scaling)
        else:
            parts = [
                self._attend(run.layers[layer], grouped[run.rows], scaling) for run in self.runs
            ]
            attended = torch.cat(parts)
        return attended.reshape(rows, -1)

    def _attend(self, of: _Stretch, query: torch.Tensor, scaling: float) -> torch.Tensor:
        """`(B, H, G, D)` queries over the run's slots, no further than its longest row's."""
        longest = of.longest + self._steps
        return scaled_dot_product_attention(
            query,
            of.keys.narrow(2, 0, longest),
            of.values.narrow(2, 0, longest),
            attn_mask=None if of.plain else of.bias.narrow(3, 0, longest),
            scale=scaling,
        )

    def _run(self, rows: slice) -> _Run:
        places, layers = self.places[rows], []
        queries = int(self.checkpoint.text_config.num_attention_heads)
        biased = any(place.biased for place in places)
        for layer in range(self.checkpoint.layers):
            keys, values, bias = self.slots.layers_of(places, layer)
            lengths = {place.filled[layer] for place in places}
            bias = bias.expand(-1, -1, queries // self.slots.heads, -1)
            plain = len(lengths) == 1 and not biased
            layers.append(_Stretch(keys, values, bias, max(lengths), plain))
        return _Run(rows, layers)

    def _neighbours(self) -> list[slice]:
        """Rows that lie one behind another with equal widths, as slices of the batch."""
        found: list[slice] = []
        for row, place in enumerate(self.places):
            before = self.places[row - 1] if row else None
            if (
                before is not None
                and before.widths == place.widths
                and before.start + before.cells == place.start
            ):
                found[-1] = slice(found[-1].start, row + 1)
            else:
                found.append(slice(row, row + 1))
        return found
