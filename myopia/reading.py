"""Takes one row from its prompt to its survivors, a bounded piece of work at a time.

Order of work: pictures that the next piece shows, the piece itself, descriptions where the image
set is to be pruned before the question, and after the last piece the pruning. Pieces always end at
the same positions, whatever was cached, so that a row's tokens do not depend on what was read
before. Nothing here knows slots or other rows.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch

from myopia.compress import Compression, SmallSets, survivors_of
from myopia.explanation import explain_row
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.prefill import Workspace, pictures_between, read_piece
from myopia.prefixes import Prefixes, prefix_key
from myopia.pruning import Survivors, prune_row
from myopia.row import Row
from myopia.vision import Vision

# Pictures that go through the vision tower in one call. The pocket's take 25.8 ms each alone, 12.6
# by four, 9.6 by eight, 9.5 by sixteen (one busy core): more only makes a piece of work longer.
PICTURES_TOGETHER = 8


class Reader:
    """Reads one row's prompt at a time; `advance` until it says so."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        vision: Vision,
        prefixes: Prefixes,
        small_sets: SmallSets,
        *,
        piece_tokens: int,
    ) -> None:
        self.checkpoint = checkpoint
        self.vision = vision
        self.prefixes = prefixes
        self.small_sets = small_sets
        self.piece_tokens = piece_tokens
        self.space = Workspace(checkpoint)

    def begin(self, row: Row) -> None:
        """Start on a row, behind a kept image set where there is one."""
        row.begun = True
        layout = row.prompt.layout
        self.space.reserve(layout.length)
        with _timed(row, "prefill_ms"):
            if row.probes:
                key = SmallSets.key(_key(row), layout, row.pruning)
                row.small = self.small_sets.resume(key, self.space)
                if row.small is not None:
                    _resumed(row, "compressed")
                return
            if row.reuse != "none" and row.prompt.prefix:
                row.observer = self.prefixes.resume(
                    _key(row), self.space, row.prompt, row.pruning, row.explain
                )
            if row.observer is not None:
                _resumed(row, "exact")
                return
            row.observer = Observer(
                layout, row.pruning, layers=self.checkpoint.layers, explain=row.explain
            )

    def advance(self, row: Row) -> bool:
        """Do one piece of work; whether the row now has survivors and first logits."""
        if row.compression is not None:
            with _timed(row, "prune_ms"):
                self._compress(row, row.compression)
            return False
        start, stop = row.read, self._stop_of(row)
        if self._look(row, pictures_between(row.prompt, start, stop)):
            return False
        with _timed(row, "prefill_ms"):
            self._read(row, start, stop)
        if stop < row.prompt.layout.length:
            return False
        with _timed(row, "prune_ms"):
            row.survivors = self._survivors(row)
            _measure(row, row.survivors)
        return True

    def _stop_of(self, row: Row) -> int:
        """Where the next piece ends: never across the end of the last image."""
        bound = row.prompt.prefix if row.read < row.prompt.prefix else row.prompt.layout.length
        return min(row.read + self.piece_tokens, bound)

    def _look(self, row: Row, numbers: Sequence[int]) -> bool:
        """Get the features of those pictures; whether that took work worth a piece."""
        missing = [number for number in numbers if number not in row.features]
        for number in missing:
            found = self.vision.known(row.pictures[number], row.prompt.tiles)
            if found is not None:
                row.features[number] = found
                row.cache.features += 1
        unknown = [number for number in missing if number not in row.features]
        if not unknown:
            return False
        with _timed(row, "vision_ms"):
            now = unknown[:PICTURES_TOGETHER]
            features = self.vision.look([row.pictures[one] for one in now], row.prompt.tiles)
            row.features.update(zip(now, features, strict=True))
        return True

    def _read(self, row: Row, start: int, stop: int) -> None:
        prompt = row.prompt
        hidden = read_piece(
            self.space,
            prompt,
            (start, stop),
            row.features.__getitem__,
            row.observer,
            row.dropped,
        )
        row.read = stop
        for number in [n for n in row.features if prompt.layout.spans[n].stop <= stop]:
            del row.features[number]
        if stop == prompt.prefix:
            if row.probes:
                row.compression = Compression(self.space, prompt.layout, row.probes)
            elif row.reuse != "none" and row.observer is not None:
                self.prefixes.keep(_key(row), self.space, prompt, row.observer)
        if stop == prompt.layout.length:
            row.first_logits = self.checkpoint.model.lm_head(hidden[-1]).float()

    def _compress(self, row: Row, compression: Compression) -> None:
        if not compression.advance():
            return
        row.compression = None
        row.small = compression.result(row.pruning)
        key = SmallSets.key(_key(row), row.prompt.layout, row.pruning)
        self.small_sets.keep(key, row.small)

    def _survivors(self, row: Row) -> list[Survivors]:
        layout = row.prompt.layout
        if row.small is not None:
            return survivors_of(self.space, row.small, layout.length, row.prompt.prefix)
        assert row.observer is not None
        kept = prune_row(self.space.layers(layout.length), row.observer, layout, row.pruning)
        if row.explain:
            row.explained = explain_row(row.observer)
        return kept


def logits_are_sound(logits: torch.Tensor) -> list[bool]:
    """For each row of `(B, V)`, whether no logit is NaN."""
    sound: list[bool] = (~logits.isnan().any(-1)).tolist()
    return sound


@contextmanager
def _timed(row: Row, name: Literal["vision_ms", "prefill_ms", "prune_ms"]) -> Iterator[None]:
    """Add the block's milliseconds to one of the row's timings."""
    began = time.perf_counter()
    yield
    spent = (time.perf_counter() - began) * 1e3
    setattr(row.timings, name, getattr(row.timings, name) + spent)


def _key(row: Row) -> str:
    return prefix_key(row.prompt, [picture.digest for picture in row.pictures])


def _resumed(row: Row, kind: Literal["exact", "compressed"]) -> None:
    row.read, row.cache.prefill = row.prompt.prefix, kind
    row.cache.features = len(row.pictures)


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
