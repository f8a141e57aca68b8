"""The decode step in fixed shapes: as many rows as its bucket has, attention over ragged slots.

Nothing in `forward` asks the device for a number or makes a shape of one, so a step can be captured
once and replayed for whatever rows are loaded. Rows that only fill the bucket up write into the
slots' spare cell. Nothing here knows how a token is chosen, or how a step is captured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia.loading import Checkpoint
from myopia.ragged import Blocks, Reach, attend
from myopia.slots import Place, Slots

LEAST_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Bucket:
    """A step's shape: rows of the batch, and most slots that a row of it has in a layer."""

    rows: int
    longest: int

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Bucket":
        """The smallest bucket that holds the places until they are full.

        Rows by powers of two to 8 and by eights from there, slots by powers of two.
        """
        rows, longest = len(places), max(max(place.widths) for place in places)
        rounded = 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8
        return cls(rounded, max(LEAST_LONGEST, 1 << (longest - 1).bit_length()))


class PaddedStep:
    """Buffers of one bucket, and the step over whatever rows they describe."""

    def __init__(self, checkpoint: Checkpoint, slots: Slots, bucket: Bucket) -> None:
        self.checkpoint, self.slots, self.bucket = checkpoint, slots, bucket
        self.blocks = Blocks(slots.keys, slots.values, slots.bias)
        device, layers, rows = checkpoint.device, checkpoint.layers, bucket.rows
        self._given = torch.zeros(2, rows, dtype=torch.long, device=device)  # tokens, positions
        self._host = torch.zeros(2, rows, dtype=torch.long, pin_memory=device.type == "cuda")
        self._origin = torch.zeros(layers, rows, slots.heads, dtype=torch.long, device=device)
        self._filled = torch.zeros(layers, rows, dtype=torch.long, device=device)
        self._live = torch.zeros(rows, dtype=torch.long, device=device)
        self._index = self._origin.flatten(1)
        self._lengths = self._filled
        self.load([])

    def load(self, places: Sequence[Place]) -> None:
        """Describe rows by their places, the rest of the bucket by the spare cell."""
        heads = torch.arange(self.slots.heads)
        origin = (self.slots.spare * self.slots.heads + heads).repeat(*self._filled.shape, 1)
        filled = torch.zeros(self._filled.shape, dtype=torch.long)
        if places:
            origin[:, : len(places)] = self.slots.origins_of(places)
            filled[:, : len(places)] = torch.tensor([place.filled for place in places]).T
        self._origin.copy_(origin)
        self._filled.copy_(filled)
        self._live.copy_(torch.arange(self.bucket.rows) < len(places))

    def give(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """Say which token stands newest in each loaded row, and at which position."""
        self._host[:, : len(tokens)] = torch.tensor([tokens, positions])
        self._given.copy_(self._host, non_blocking=True)

    def forward(self) -> torch.Tensor:
        """Logits `(rows, V)` after the given tokens; every loaded row is one token longer."""
        keys = (self._origin + self._filled[..., None]).flatten(1)  # (L, rows * H)
        self.blocks.bias.index_fill_(0, keys.flatten(), 0)
        by_row = keys.view(len(keys), self.bucket.rows, -1)
        self._index = torch.cat([by_row, by_row + len(self.slots.keys)], dim=2).flatten(1)
        self._lengths = self._filled + 1
        tokens, positions = self._given
        model = self.checkpoint.model
        embedded = model.get_input_embeddings()(tokens)
        hidden = self.checkpoint.text_model.one_token(embedded, positions, self)
        logits = model.lm_head(hidden)
        self._filled.add_(self._live)
        return torch.as_tensor(logits)

    def attend(self, layer: int, heads: torch.Tensor, scaling: float) -> torch.Tensor:
        """Write one layer's new keys and values, and attend every row over its own slots."""
        queries, width = heads.shape[1] - 2 * self.slots.heads, heads.shape[2]
        new = heads[:, queries:].reshape(-1, width)
        self.slots.stored.index_copy_(0, self._index[layer], new)
        reach = Reach(self._origin[layer], self._lengths[layer], self.bucket.longest)
        return attend(heads[:, :queries], self.blocks, reach, scaling).flatten(1)
