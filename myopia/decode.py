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


@dataclass(slots=True)
class _Run:
    """Neighbours of equal widths: which rows of the batch, and their views by layer."""

    rows: slice
    places: list[Place]
    layers: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class Batch:
    """The running rows in the order of their slots; rebuilt when a row joins or leaves."""

    def __init__(self, checkpoint: Checkpoint, slots: Slots, places: Sequence[Place]) -> None:
        self.checkpoint = checkpoint
        self.slots = slots
        self.places = sorted(places, key=lambda place: place.start)
        self.runs = list(self._runs())
        self._origin = slots.origins_of(self.places).to(checkpoint.device)
        self._index = self._origin

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits `(B, V)` after each row's last token, in the order of `places`.

        Every row must have a free slot in every layer; `positions` count whole prompts.
        """
        device = self.checkpoint.device
        filled = torch.tensor([place.filled for place in self.places], device=device)
        self._index = (self._origin + filled.T[..., None]).flatten(1)  # (L, B*H)
        self.slots.bias[self._index.flatten()] = 0
        model = self.checkpoint.model
        embedded = model.get_input_embeddings()(torch.tensor(tokens, device=device)[:, None])
        where = torch.tensor(positions, device=device)[:, None]
        hidden = self.checkpoint.text_model(embedded, where, self)
        logits = model.lm_head(hidden[:, 0])
        for place in self.places:
            place.filled = [length + 1 for length in place.filled]
        return torch.as_tensor(logits)

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Write one layer's new keys and values, and attend every run over its slots."""
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        rows, query_heads, _, width = query.shape
        index = self._index[layer]
        self.slots.keys[index] = key.reshape(-1, width)
        self.slots.values[index] = value.reshape(-1, width)
        heads = self.slots.heads
        # Queries that share a key head become rows of one small matrix: no key is repeated.
        grouped = query.reshape(rows, heads, query_heads // heads, width)
        attended = [self._attend(run, layer, grouped[run.rows], scaling) for run in self.runs]
        joined = attended[0] if len(attended) == 1 else torch.cat(attended)
        return joined.reshape(rows, 1, query_heads, width)

    def _attend(self, run: _Run, layer: int, query: torch.Tensor, scaling: float) -> torch.Tensor:
        """`(B, H, G, D)` queries over the run's slots, no further than its longest row's."""
        keys, values, bias = run.layers[layer]
        lengths = {place.filled[layer] + 1 for place in run.places}
        longest = max(lengths)
        plain = len(lengths) == 1 and not any(place.biased for place in run.places)
        shape = (*query.shape[:3], longest)
        return scaled_dot_product_attention(
            query,
            keys[:, :, :longest],
            values[:, :, :longest],
            attn_mask=None if plain else bias[..., :longest].expand(shape),
            scale=scaling,
        )

    def _runs(self) -> Sequence[_Run]:
        runs: list[_Run] = []
        for row, place in enumerate(self.places):
            before = self.places[row - 1] if row else None
            if (
                before is not None
                and before.widths == place.widths
                and before.start + before.cells == place.start
            ):
                runs[-1].places.append(place)
                runs[-1].rows = slice(runs[-1].rows.start, row + 1)
            else:
                runs.append(_Run(slice(row, row + 1), [place], []))
        for run in runs:
            run.layers = [
                self.slots.layers_of(run.places, layer) for layer in range(self.checkpoint.layers)
            ]
        return runs
