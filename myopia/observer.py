"""Collects one row's attention evidence while its prompt is prefilled, layer by layer.

It gets queries and keys and keeps sums over rows, never a matrix. It does not know which policy
asks, what is kept, or how attention itself is computed.
"""

from dataclasses import dataclass

import torch

from myopia.columns import row_lse, visible_logits, weighted_sums
from myopia.columns_cuda import fused_column_sums, fused_is_possible, fused_row_lse
from myopia.columns_grouped import grouped_sums
from myopia.evidence import Evidence, Needs
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies import needs_of
from myopia.sampling_plan import asking_rows
from myopia.sights import Sight, Sights, Stretch
from myopia.traces import Trace

# AirCache: a row is elite where the last row gives it at least this share of its maximum.
ELITE_SHARE = 0.9
# VL-Cache: an entry matters from this share of its row's maximum on.
SPARSE_SHARE = 0.01
MOST_ELITE_ROWS = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Column sums `(L, H, length)` of a prompt's first `length` tokens; safe to share."""

    length: int
    columns: torch.Tensor | None


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
        self._sights = Sights(layout, self.needs)
        self._images = image_positions(layout)
        self._sums: dict[str, torch.Tensor] = {}  # by kind of rows, (L, H, S) float32
        self._read: dict[str, torch.Tensor] = {}  # the same over image tokens, once asked for
        self._seen = [0] * layers
        self._elite_rows: list[list[torch.Tensor]] = [[] for _ in range(layers)]
        self._elite: list[torch.Tensor | None] = [None] * layers
        self._sparse: list[list[tuple[float, int]]] = [[] for _ in range(layers)]
        self._asking = asking_rows(layout)[0]
        self._elite_positions = asking_rows(layout, MOST_ELITE_ROWS)[0]

    @torch.no_grad()
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
        the rows' log-sum-exp where the attention kernel gave it, saves a pass on CUDA, and
        everywhere a pass over chunks that `wants_lse` is true of.
        """
        if not self.layout.spans:
            return
        stop = start + query.shape[1]
        if key.shape[1] != stop:
            raise ValueError(f"keys hold {key.shape[1]} tokens, rows end at {stop}")
        self._reach(layer, stop, key)
        for sight in self._sights.of(start, stop):
            self._add(layer, sight, query, key, scaling, lse)
        stretch = self._sights.grouped(start, stop)
        if stretch is not None:
            self._add_grouped(layer, stretch, query, key, scaling, lse)
        if self.needs.sparsity:
            self._see_sparsity(layer, query, key, start, scaling)
        if self.needs.elite:
            self._see_elite(layer, query, key, start, scaling)

    def wants_lse(self, start: int, stop: int) -> bool:
        """Whether rows of a chunk are summed in groups, which takes their log-sum-exp."""
        return self._sights.grouped(start, stop) is not None

    def whole(self, start: int, stop: int) -> Sight | None:
        """Where nearly every row of a chunk is summed: how; their sums may be handed to `take`.

        None where the chunk's few rows, or more than sums of them, are to be seen.
        """
        if self.needs.sparsity or self.needs.elite or not self.layout.spans:
            return None
        return self._sights.whole(start, stop)

    def take(self, layer: int, sight: Sight, sums: torch.Tensor) -> None:
        """Take in a chunk by its sums `(W, H, S)`, as `whole` asked for them, instead of seeing."""
        self._reach(layer, sums.shape[2], sums[0])
        for kind, own in zip(sight.kinds, sums, strict=True):
            self._sums[kind][layer, :, : sums.shape[2]] += own

    def evidence(self, layer: int) -> Evidence:
        """What was seen in one layer; call after the last chunk."""
        sparse = self._sparse[layer]
        entries = sum(count for _, count in sparse)
        return Evidence(
            layer=layer,
            layers=self.layers,
            columns=self._of_images("columns", layer),
            text=self._of_images("text", layer),
            window=self._of_images("window", layer),
            elite=self._elite[layer],
            sparsity=sum(few for few, _ in sparse) / entries if entries else None,
        )

    def snapshot(self, length: int) -> Snapshot:
        """Copy the column sums after `length` tokens, to be kept with those tokens' KV."""
        columns = self._sums.get("columns")
        if columns is None or min(self._seen) < length:
            return Snapshot(length, None)
        return Snapshot(length, columns[..., :length].clone())

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
            goal = observer._room("columns", snapshot.columns[0])
            goal[..., : snapshot.length] = snapshot.columns
        return observer

    def _add(
        self,
        layer: int,
        sight: Sight,
        query: torch.Tensor,
        key: torch.Tensor,
        scaling: float,
        lse: torch.Tensor | None,
    ) -> None:
        """Sum the rows of one sight into every kind that they count for."""
        rows, own = sight.rows, query[:, sight.inner]
        if fused_is_possible(query):
            norms = None if lse is None else lse[:, sight.inner]
            heavy = sight.weights if sight.weights is not None else [None] * len(sight.kinds)
            found = [fused_column_sums(own, key, rows, one, scaling, norms) for one in heavy]
        else:
            found = list(weighted_sums(own, key, rows, sight.weights, scaling))
        for kind, sums in zip(sight.kinds, found, strict=True):
            self._room(kind, key)[layer, :, : sums.shape[1]] += sums

    def _add_grouped(
        self,
        layer: int,
        stretch: Stretch,
        query: torch.Tensor,
        key: torch.Tensor,
        scaling: float,
        lse: torch.Tensor | None,
    ) -> None:
        """Sum a stretch of rows into the columns, like rows together."""
        start = key.shape[1] - query.shape[1]
        own = slice(stretch.start - start, stretch.stop - start)
        query, key = query[:, own], key[:, : stretch.stop]
        if lse is None:
            rows = torch.arange(stretch.start, stretch.stop)
            lse = (fused_row_lse if fused_is_possible(query) else row_lse)(
                query, key, rows, scaling
            )
        else:
            lse = lse[:, own]
        sums = grouped_sums(query, key, lse, stretch.counts, scaling)
        self._room("columns", key)[layer, :, : stretch.stop] += sums

    def _reach(self, layer: int, stop: int, like: torch.Tensor) -> None:
        """Note that a layer is seen up to `stop`; what was read of it is out of date."""
        self._read.clear()
        self._seen[layer] = stop
        for kind in self._sights.kinds:
            self._room(kind, like)

    def _room(self, kind: str, like: torch.Tensor) -> torch.Tensor:
        """The sums of a kind `(L, H, S)`, made when they are first needed."""
        if kind not in self._sums:
            shape = (self.layers, like.shape[0], self.layout.length)
            self._sums[kind] = torch.zeros(shape, device=like.device)
        return self._sums[kind]

    def _of_images(self, kind: str, layer: int) -> torch.Tensor | None:
        """A kind's sums over image tokens `(H, N)`; None where nothing of it was seen."""
        sums = self._sums.get(kind)
        if sums is None:
            return None
        if kind not in self._read:
            self._read[kind] = sums[..., self._images.to(sums.device)]
        return self._read[kind][layer]

    def _see_sparsity(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, start: int, scaling: float
    ) -> None:
        rows = _within(self._asking, start, start + query.shape[1])
        for row in torch.split(rows, 16) if len(rows) else ():
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
