"""Where the whole prompts' keys and values lie while they are read, and only until then.

One block for all prompts that are being read; each gets a stretch of it. Nothing here knows what
is written.
"""

from dataclasses import dataclass

import torch

from myopia.extents import Extents
from myopia.loading import Checkpoint


@dataclass(frozen=True, slots=True)
class Space:
    """Keys and values `(L, H, S, D)` of one prompt, a view of the block from token `first` on."""

    checkpoint: Checkpoint
    keys: torch.Tensor
    values: torch.Tensor
    first: int = 0

    @classmethod
    def new(cls, checkpoint: Checkpoint, tokens: int) -> "Space":
        """Memory of its own, not yet written."""
        shape = (checkpoint.layers, checkpoint.key_heads, tokens, checkpoint.head_dim)
        keys = torch.empty(shape, dtype=checkpoint.dtype, device=checkpoint.device)
        return cls(checkpoint, keys, torch.empty_like(keys))

    def layers(self, length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values `(H, S, D)` of every layer, S = `length`, as views."""
        keys, values = self.keys[:, :, :length], self.values[:, :, :length]
        return list(zip(keys.unbind(), values.unbind(), strict=True))


class Workspace:
    """The block: at least `tokens` long, and as long as the longest prompt was."""

    def __init__(self, checkpoint: Checkpoint, tokens: int) -> None:
        self.checkpoint = checkpoint
        self.least = tokens
        self._block: Space | None = None
        self._extents = Extents(0)

    @property
    def held(self) -> int:
        """Tokens' worth of space that prompts hold now."""
        return sum(self._extents.held.values())

    def has_room(self, tokens: int) -> bool:
        """Whether a prompt could be read beside those that are."""
        if not self._extents.held:
            return True
        start = self._extents.take(tokens)
        if start is not None:
            self._extents.give(start)
        return start is not None

    def take(self, tokens: int) -> Space:
        """A stretch for one prompt; the block grows where nobody holds any of it.

        Raises ValueError where there is no room.
        """
        if not self._extents.held and tokens > self._extents.cells:
            self._block = None  # let go before taking more
            self._extents = Extents(max(tokens, self.least))
            self._block = Space.new(self.checkpoint, self._extents.cells)
        start = self._extents.take(tokens)
        if start is None or self._block is None:
            raise ValueError(f"no room for {tokens} more tokens")
        keys, values = self._block.keys, self._block.values
        own = slice(start, start + tokens)
        return Space(self.checkpoint, keys[:, :, own], values[:, :, own], start)

    def give(self, space: Space) -> None:
        """Let go of a stretch."""
        self._extents.give(space.first)
