"""Chooses how running rows decode together, by device and by what was asked for.

`plain`: rows of equal widths by one attention call each (`decode`). `padded`: fixed shapes and
ragged attention (`padded`). `graphs`: the same, captured by bucket (`graphs`). Nothing here knows
how a token is chosen.
"""

import logging
from collections.abc import Callable, Sequence
from subprocess import SubprocessError
from typing import Literal

import torch

from myopia.columns_cuda import fused_is_possible
from myopia.decode import Batch
from myopia.errors import Unsupported
from myopia.faults import ROW_FAULTS
from myopia.graphs import Graphs
from myopia.loading import Checkpoint
from myopia.padded import Bucket, PaddedStep
from myopia.slots import Place, Slots

Decode = Literal["auto", "plain", "padded", "graphs"]
# A model whose step waits for the device, a Triton that finds no compiler, memory that is short.
CAPTURE_FAULTS = (*ROW_FAULTS, OSError, SubprocessError)
_LOG = logging.getLogger(__name__)


class PaddedBatch:
    """Running rows in a bucket's step; rebuilt when a row joins or leaves, the step is not."""

    def __init__(
        self, step: PaddedStep, run: Callable[[], torch.Tensor], places: Sequence[Place]
    ) -> None:
        self.places = sorted(places, key=lambda place: place.start)
        self._step, self._run = step, run
        step.load(self.places)

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """As `Batch.step`; the logits hold until the next step of any batch."""
        self._step.give(tokens, positions)
        logits = self._run()
        for place in self.places:
            place.filled = [length + 1 for length in place.filled]
        return logits[: len(self.places)]


class Decoder:
    """Makes batches; keeps a step per bucket for all of them."""

    def __init__(self, checkpoint: Checkpoint, slots: Slots, decode: Decode = "auto") -> None:
        """Raises Unsupported for `graphs` without a CUDA device."""
        self.checkpoint, self.slots = checkpoint, slots
        self.kind = _kind(slots, decode)
        self._graphs = Graphs(checkpoint.device) if self.kind == "graphs" else None
        self._steps: dict[Bucket, tuple[PaddedStep, Callable[[], torch.Tensor]]] = {}

    def batch(self, places: Sequence[Place]) -> Batch | PaddedBatch:
        """The rows at these places, ready for a step."""
        if self.kind == "plain":
            return Batch(self.checkpoint, self.slots, places)
        bucket = Bucket.of(places)
        if bucket not in self._steps:
            step = PaddedStep(self.checkpoint, self.slots, bucket)
            try:
                run = step.forward if self._graphs is None else self._graphs.capture(step)
            except CAPTURE_FAULTS as error:
                _LOG.warning("decode steps cannot be captured, rows decode by 'plain': %s", error)
                self.kind = "plain"
                self._steps.clear()
                return self.batch(places)
            self._steps[bucket] = (step, run)
        return PaddedBatch(*self._steps[bucket], places)


def _kind(slots: Slots, decode: Decode) -> Decode:
    """What `auto` means: graphs where the ragged kernel can run, else plain."""
    if decode == "auto":
        return "graphs" if fused_is_possible(slots.keys) else "plain"
    if decode == "graphs" and not slots.keys.is_cuda:
        raise Unsupported("decode 'graphs' needs a CUDA device; use 'auto'", field="decode")
    return decode
