"""Takes one row from its prompt to its survivors, a bounded piece of work at a time.

Order of work: pictures that the next piece shows, the piece itself, and after the last one the
pruning. Pieces always end at the same positions, whatever was cached, so that a row's tokens do
not depend on what was read before. Nothing here knows slots or other rows.
"""

import time

import torch

from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.prefill import Workspace, pictures_between, read_piece
from myopia.prefixes import Prefixes, prefix_key
from myopia.pruning import Survivors, prune_row
from myopia.row import Row
from myopia.vision import Vision


class Reader:
    """Reads one row's prompt at a time; `advance` until it says so."""

    def __init__(
        self, checkpoint: Checkpoint, vision: Vision, prefixes: Prefixes, *, piece_tokens: int
    ) -> None:
        self.checkpoint = checkpoint
        self.vision = vision
        self.prefixes = prefixes
        self.piece_tokens = piece_tokens
        self.space = Workspace(checkpoint)

    def begin(self, row: Row) -> None:
        """Start on a row, from a kept prefix where there is one."""
        prompt, layout = row.prompt, row.prompt.layout
        self.space.reserve(layout.length)
        if row.reuse != "none" and prompt.prefix:
            began = time.perf_counter()
            key = prefix_key(prompt, [picture.digest for picture in row.pictures])
            row.observer = self.prefixes.resume(key, self.space, prompt, row.pruning, row.explain)
            row.timings.prefill_ms += (time.perf_counter() - began) * 1e3
        if row.observer is not None:
            row.read, row.cache.prefill = prompt.prefix, "exact"
            row.cache.features = len(row.pictures)
            return
        row.observer = Observer(
            layout, row.pruning, layers=self.checkpoint.layers, explain=row.explain
        )

    def advance(self, row: Row) -> bool:
        """Do one piece of work; whether the row now has survivors and first logits."""
        start, stop = row.read, self._stop_of(row)
        for number in pictures_between(row.prompt, start, stop):
            if number not in row.features:
                self._look(row, number)
                return False
        began = time.perf_counter()
        hidden = read_piece(
            self.space, row.prompt, (start, stop), row.features.__getitem__, row.observer
        )
        row.read = stop
        for number in [n for n in row.features if row.prompt.layout.spans[n].stop <= stop]:
            del row.features[number]
        if stop == row.prompt.prefix and row.reuse != "none":
            assert row.observer is not None
            key = prefix_key(row.prompt, [picture.digest for picture in row.pictures])
            self.prefixes.keep(key, self.space, row.prompt, row.observer)
        if stop == row.prompt.layout.length:
            row.first_logits = self.checkpoint.model.lm_head(hidden[-1]).float()
            row.pictures = []
            row.timings.prefill_ms += (time.perf_counter() - began) * 1e3
            self._prune(row)
            return True
        row.timings.prefill_ms += (time.perf_counter() - began) * 1e3
        return False

    def _stop_of(self, row: Row) -> int:
        """Where the next piece ends: never across the end of the last image."""
        bound = row.prompt.prefix if row.read < row.prompt.prefix else row.prompt.layout.length
        return min(row.read + self.piece_tokens, bound)

    def _look(self, row: Row, number: int) -> None:
        began = time.perf_counter()
        row.features[number], cached = self.vision.look(row.pictures[number], row.prompt.tiles)
        row.cache.features += int(cached)
        row.timings.vision_ms += (time.perf_counter() - began) * 1e3

    def _prune(self, row: Row) -> None:
        assert row.observer is not None
        began = time.perf_counter()
        layout = row.prompt.layout
        row.survivors = prune_row(
            self.space.layers(layout.length), row.observer, layout, row.pruning
        )
        _measure(row, row.survivors)
        row.timings.prune_ms = (time.perf_counter() - began) * 1e3


def _measure(row: Row, survivors: list[Survivors]) -> None:
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


def logits_are_sound(logits: torch.Tensor) -> list[bool]:
    """For each row of `(B, V)`, whether no logit is NaN."""
    sound: list[bool] = (~logits.isnan().any(-1)).tolist()
    return sound
