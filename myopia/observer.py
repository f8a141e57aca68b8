"""Collects one row's attention evidence while its prompt is prefilled, layer by layer.

It gets queries and keys and keeps sums over rows, never a matrix. It does not know which policy
asks, what is kept, or how attention itself is computed.
"""

from dataclasses import dataclass

import torch

from myopia.columns import column_sums, visible_logits
from myopia.columns_cuda import fused_column_sums, fused_is_possible
from myopia.evidence import Evidence, Needs
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies import needs_of
from myopia.sampling_plan import asking_rows, cumulative_rows
from myopia.traces import Trace

# AirCache: a row is elite where the last row gives it at least this share of its maximum.
ELITE_SHARE = 0.9
# VL-Cache: an entry matters from this share of its row's maximum on.
SPARSE_SHARE = 0.01
MOST_ELITE_ROWS = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Column sums `(H, N)` per layer of a prompt's first `length` tokens; safe to share."""

    length: int
    columns: tuple[torch.Tensor, ...] | None


class Observer:
    """One row's evidence; made before prefill, read once after its last chunk."""

    def __init__(
        self, layout: Layout, pruning: Pruning, *, layers: int, explain: bool = False
    ) -> None:
        self.layout = layout
        self.pruning = pruning
        self.layers = layers
        self.trace: Trace | None = Trace() if explain and layout.spans else None
        self.needs = needs_of(pruning) if layout.spans else Needs()
        self._images = image_positions(layout)
        self._columns: list[torch.Tensor | None] = [None] * layers
        self._text: list[torch.Tensor | None] = [None] * layers
        self._window: list[torch.Tensor | None] = [None] * layers
        self._elite_rows: list[list[torch.Tensor]] = [[] for _ in range(layers)]
        self._elite: list[torch.Tensor | None] = [None] * layers
        self._sparse: list[list[tuple[float, int]]] = [[] for _ in range(layers)]
        self._plan = cumulative_rows(layout) if self.needs.columns else None
        self._asking, self._asking_weight = asking_rows(layout)
        self._elite_positions = asking_rows(layout, MOST_ELITE_ROWS)[0]

    def see(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        start: int,
        scaling: float,
        lse: torch.Tensor | None = None,
    ) -> None:
        """Take in one chunk: query `(Q, T, D)` of positions from `start`, key `(H, S, D)`.

        S is `start + T`; rotations are applied. Chunks of a layer come in order. `lse (Q, T)`,
        the rows' log-sum-exp where the attention kernel gave it, saves a pass on CUDA.
        """
        if not self.layout.spans:
            return
        stop = start + query.shape[1]
        if key.shape[1] != stop:
            raise ValueError(f"keys hold {key.shape[1]} tokens, rows end at {stop}")
        if self._plan is not None:
            self._see_columns(layer, query, key, start, scaling, lse)
        if self.needs.window:
            first = max(self.layout.length - self.needs.window, 0)
            rows = torch.arange(max(first, start), max(stop, first, start))
            self._add(self._window, layer, self._sum_rows(query, key, rows, start, scaling))
        if self.needs.text or self.needs.sparsity:
            rows = _within(self._asking, start, stop)
            self._see_text(layer, query, key, rows, start, scaling)
        if self.needs.elite:
            self._see_elite(layer, query, key, start, scaling)

    def evidence(self, layer: int) -> Evidence:
        """What was seen in one layer; call after the last chunk."""
        sparse = self._sparse[layer]
        entries = sum(count for _, count in sparse)
        return Evidence(
            layer=layer,
            layers=self.layers,
            columns=self._columns[layer],
            text=self._text[layer] if self.needs.text else None,
            window=self._window[layer],
            elite=self._elite[layer],
            sparsity=sum(few for few, _ in sparse) / entries if entries else None,
        )

    def snapshot(self, length: int) -> Snapshot:
        """Copy the column sums after `length` tokens, to be kept with those tokens' KV."""
        held = [c.clone() for c in self._columns if c is not None]
        whole = self._plan is not None and len(held) == self.layers
        return Snapshot(length, tuple(held) if whole else None)

    @classmethod
    def resumed(
        cls,
        snapshot: Snapshot,
        layout: Layout,
        pruning: Pruning,
        *,
        layers: int,
        explain: bool = False,
    ) -> "Observer":
        """Go on where a snapshot ended; only for layouts that `can_resume` accepts."""
        observer = cls(layout, pruning, layers=layers, explain=explain)
        if not can_resume(snapshot, layout, pruning):
            raise ValueError("this snapshot lacks rows that the policy needs")
        if observer.needs.columns and snapshot.columns is not None:
            observer._columns = [columns.clone() for columns in snapshot.columns]
        return observer

    def _see_columns(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        start: int,
        scaling: float,
        lse: torch.Tensor | None,
    ) -> None:
        assert self._plan is not None
        positions, weights = self._plan
        inside = (positions >= start) & (positions < start + query.shape[1])
        rows = positions[inside]
        sums = torch.zeros(key.shape[0], key.shape[1], device=key.device)
        if len(rows):
            inner = (rows - start).to(query.device)
            heavy = None if weights is None else weights[inside]
            if fused_is_possible(query):
                norms = None if lse is None else lse[:, inner]
                sums = fused_column_sums(query[:, inner], key, rows, heavy, scaling, norms)
            else:
                sums = column_sums(query[:, inner], key, rows, heavy, scaling)
        self._add(self._columns, layer, self._of_images(sums))

    def _see_text(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        rows: torch.Tensor,
        start: int,
        scaling: float,
    ) -> None:
        if self.needs.text:
            sums = self._sum_rows(query, key, rows, start, scaling) * self._asking_weight
            self._add(self._text, layer, sums)
        if self.needs.sparsity and len(rows):
            for row in torch.split(rows, 16):
                logits = visible_logits(query[:, (row - start)], key, row, scaling)
                gap = logits - logits.amax(-1, keepdim=True)
                seen = torch.isfinite(logits)
                few = (gap < torch.log(torch.tensor(SPARSE_SHARE))) & seen
                self._sparse[layer].append((float(few.sum()), int(seen.sum())))

    def _see_elite(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, start: int, scaling: float
    ) -> None:
        rows = _within(self._elite_positions, start, start + query.shape[1])
        if len(rows):
            logits = visible_logits(query[:, rows - start], key, rows, scaling)
            over_images = torch.softmax(logits[..., self._images.to(logits.device)], dim=-1)
            self._elite_rows[layer].append(over_images.mean(dim=(0, 1)))  # (R, N)
        last = self.layout.length - 1
        if start + query.shape[1] == self.layout.length:
            logits = visible_logits(query[:, -1:], key, torch.tensor([last]), scaling)
            guide = torch.softmax(logits, dim=-1).mean(dim=(0, 1))[0]  # (S,)
            guide = guide[self._elite_positions.to(guide.device)]
            elite = guide >= ELITE_SHARE * guide.max()
            self._elite[layer] = torch.cat(self._elite_rows[layer])[elite].mean(0, keepdim=True)
            self._elite_rows[layer].clear()

    def _sum_rows(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        rows: torch.Tensor,
        start: int,
        scaling: float,
    ) -> torch.Tensor:
        """Sum of the given rows over the image columns seen so far, `(H, N)`."""
        if not len(rows):
            return key.new_zeros(key.shape[0], len(self._images), dtype=torch.float32)
        picked = query[:, (rows - start).to(query.device)]
        return self._of_images(column_sums(picked, key, rows, None, scaling))

    def _of_images(self, sums: torch.Tensor) -> torch.Tensor:
        """Image columns `(H, N)` of `(H, S)`; those beyond S are zero."""
        images = self._images.to(sums.device)
        known = images < sums.shape[1]
        taken = sums[:, images.clamp_max(sums.shape[1] - 1)]
        return torch.where(known, taken, 0.0)

    @staticmethod
    def _add(store: list[torch.Tensor | None], layer: int, sums: torch.Tensor) -> None:
        held = store[layer]
        store[layer] = sums if held is None else held + sums


def can_resume(snapshot: Snapshot, layout: Layout, pruning: Pruning) -> bool:
    """Whether all rows that the policy needs are in the snapshot or still to come."""
    needs = needs_of(pruning)
    if not layout.spans or layout.spans[-1].stop > snapshot.length:
        return False
    if needs.columns and snapshot.columns is None:
        return False
    asks = needs.text or needs.elite or needs.sparsity
    if asks and (not layout.text_rows or layout.text_rows[0] < snapshot.length):
        return False
    return not needs.window or layout.length - needs.window >= snapshot.length


def _within(positions: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    return positions[(positions >= start) & (positions < stop)]
