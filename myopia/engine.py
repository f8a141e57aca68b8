"""Many asks on one model: `add`, `cancel`, `step`. Synchronous, no threads, one ending per ask.

Each step reads prompts for a bounded time, then gives every running row one token. A row that
fails, fails alone. It knows the order of things and the inside of none.
"""

import time
from collections.abc import Callable

import torch

from myopia.compress import SmallSets
from myopia.decode import Batch
from myopia.decoding import Decoder, PaddedBatch
from myopia.errors import Expired, MyopiaError, OutOfMemory
from myopia.faults import ROW_FAULTS, fault_of
from myopia.intake import cells_of, row_of
from myopia.loading import Checkpoint
from myopia.news import News, news_of
from myopia.params import Request
from myopia.prefixes import Prefixes
from myopia.reading import Reader
from myopia.report import Output
from myopia.row import Row
from myopia.scheduler import Scheduler, Waiting
from myopia.sizes import EngineConfig, EngineStats, kv_bytes_of
from myopia.slots import Slots
from myopia.vision import Vision

__all__ = ["Engine", "EngineConfig", "EngineStats"]


class Engine:
    """Answers requests on one checkpoint; the only owner of its device memory."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: EngineConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.checkpoint = checkpoint
        self.config = config or EngineConfig()
        self.clock = clock
        cells = kv_bytes_of(checkpoint, self.config) // checkpoint.slot_bytes
        self.slots = Slots(
            cells,
            heads=checkpoint.key_heads,
            width=checkpoint.head_dim,
            dtype=checkpoint.dtype,
            device=checkpoint.device,
        )
        self.decoder = Decoder(checkpoint, self.slots, self.config.decode)
        self.scheduler = Scheduler(most_rows=self.config.most_rows, cells=cells)
        self.vision = Vision(checkpoint, self.config.feature_bytes, self.config.feature_host_bytes)
        self.prefixes = Prefixes(self.config.prefix_bytes)
        self.small_sets = SmallSets(self.config.small_set_bytes)
        self.reader = Reader(
            checkpoint,
            self.vision,
            self.prefixes,
            self.small_sets,
            piece_tokens=self.config.piece_tokens,
        )
        self._waiting: dict[str, Row] = {}
        self._reading: list[Row] = []
        self._running: dict[str, Row] = {}
        self._batch: Batch | PaddedBatch | None = None
        self._cancelled: set[str] = set()
        self._ready: list[Output] = []
        self._steps = 0
        self._tokens = 0

    @property
    def has_work(self) -> bool:
        """Whether a step would do or say anything."""
        return bool(self._waiting or self._reading or self._running or self._ready)

    def add(self, request: Request) -> None:
        """Take an ask on. What is wrong with it comes out of the next step, as its ending."""
        if self._knows(request.ask_id):
            raise ValueError(f"{request.ask_id} is already here")
        try:
            row = row_of(self.checkpoint, request)
            cells = row.cells = cells_of(self.checkpoint, row)
            if not self.scheduler.can_ever_hold(cells):
                raise OutOfMemory(
                    f"this ask needs {cells * self.slots.cell_bytes} bytes of KV cache after "
                    "pruning; ask for a smaller budget, fewer pictures or fewer tokens",
                    limit=self.scheduler.cells * self.slots.cell_bytes,
                    actual=cells * self.slots.cell_bytes,
                )
        except ROW_FAULTS as error:
            self._ready.append(Output(request.ask_id, failed=fault_of(error)))
            return
        self._waiting[row.ask_id] = row
        self.scheduler.enqueue(Waiting(row.ask_id, cells, row.deadline))

    def cancel(self, ask_id: str) -> None:
        """End an ask at the next step, with what it has answered; unknown ids are ignored."""
        if self._knows(ask_id):
            self._cancelled.add(ask_id)

    @torch.inference_mode()
    def step(self) -> list[Output]:
        """Do one bounded round of work; news of every ask that has any."""
        self._steps += 1
        outputs, self._ready = self._ready, []
        self._sweep(outputs)
        self._read(outputs)
        self._decode(outputs)
        return outputs

    def stats(self) -> EngineStats:
        """Counts at this moment."""
        features, prefixes, small = (
            self.vision.cache,
            self.prefixes.store,
            self.small_sets.store,
        )
        return EngineStats(
            waiting=len(self._waiting),
            reading=len(self._reading),
            running=len(self._running),
            cells=self.slots.extents.cells,
            free_cells=self.slots.extents.free,
            cell_bytes=self.slots.cell_bytes,
            feature_bytes=features.near.held_bytes,
            feature_host_bytes=features.far.held_bytes,
            feature_hits=features.hits,
            prefix_bytes=prefixes.held_bytes,
            prefix_hits=prefixes.hits,
            small_set_bytes=small.held_bytes,
            small_set_hits=small.hits,
            steps=self._steps,
            tokens=self._tokens,
        )

    def _knows(self, ask_id: str) -> bool:
        reading = any(row.ask_id == ask_id for row in self._reading)
        ended = any(output.ask_id == ask_id for output in self._ready)
        return reading or ended or ask_id in self._waiting or ask_id in self._running

    def _rows(self) -> list[Row]:
        return [*self._waiting.values(), *self._reading, *self._running.values()]

    def _sweep(self, outputs: list[Output]) -> None:
        """End what was cancelled, or has outlived its deadline, wherever it is."""
        now = self.clock()
        for row in self._rows():
            if row.ask_id in self._cancelled:
                outputs.append(row.finish("cancelled"))
                self._forget(row)
            elif row.deadline is not None and row.deadline <= now:
                said = f"after {len(row.tokens)} tokens" if row.tokens else "before the answer"
                error = Expired(f"time was up {said}; allow more time or ask for less")
                outputs.append(Output(row.ask_id, failed=error))
                self._forget(row)
        self._cancelled.clear()

    def _forget(self, row: Row) -> None:
        """Let go of a row and all that it holds."""
        self._waiting.pop(row.ask_id, None)
        self.scheduler.drop(row.ask_id)
        if row in self._reading:
            self._reading.remove(row)
            self.reader.leave(row)
        if self._running.pop(row.ask_id, None) is not None:
            self._batch = None
        if row.place is not None:
            self.slots.release(row.place)
            row.place = None

    def _fail(self, row: Row, error: Exception, outputs: list[Output]) -> None:
        outputs.append(Output(row.ask_id, failed=fault_of(error)))
        self._forget(row)

    def _read(self, outputs: list[Output]) -> None:
        """Read prompts until the gap that running rows may be made to wait is used up.

        Last pieces wait for each other until then: they are short, dear one by one, and nobody
        hears of a first token before the step is over.
        """
        until, late = time.perf_counter() + self.config.gap_seconds, False
        while not late:
            self._admit()
            unread = [one for one in self._reading if one.survivors is None and not one.fault]
            opened = [row for row in unread if self.reader.opens(row)]
            if opened:
                self.reader.advance(opened)
                late = time.perf_counter() >= until
                unread = [row for row in unread if not row.fault and not self.reader.opens(row)]
            if late or not opened:
                self.reader.finish(unread)
            self._settle(outputs)
            late |= not unread and not opened

    def _admit(self) -> None:
        """Begin reading asks in their order, as long as cells for their answers are free."""
        while (ask_id := self.scheduler.first) is not None:
            row = self._waiting[ask_id]
            promised = sum(other.cells for other in self._reading)
            rows = len(self._running) + len(self._reading)
            free = self.slots.extents.free - promised
            if not self.reader.has_room(row) or not self.scheduler.admit(
                rows=rows, free_cells=free
            ):
                return
            del self._waiting[ask_id]
            self._reading.append(row)
            row.timings.queue_ms = (time.perf_counter() - row.added) * 1e3
            self.reader.begin(row)

    def _settle(self, outputs: list[Output]) -> None:
        """Let rows that were read run, as far as there are slots; end those that went wrong."""
        for row in list(self._reading):
            if row.fault is not None:
                self._fail(row, row.fault, outputs)
            elif row.survivors is not None:
                row.place = self.slots.place(row.survivors, row.most_tokens)
                if row.place is not None:
                    self._begin_answer(row, outputs)
                elif not self._running:
                    error = OutOfMemory("this ask's kept tokens do not fit into the KV cache")
                    self._fail(row, error, outputs)

    def _begin_answer(self, row: Row, outputs: list[Output]) -> None:
        """From reading to running, with the first token."""
        logits = row.first_logits
        assert logits is not None
        self._batch = None
        row.let_go()
        self._reading.remove(row)
        self.reader.leave(row)
        self._running[row.ask_id] = row
        self._take(news_of([row], logits[None])[0], outputs)

    def _take(self, news: News, outputs: list[Output]) -> None:
        """Give a row its next token; let it go where that was its last, or cannot be."""
        try:
            if not news.sound:
                raise MyopiaError("the model's logits are not numbers for this ask")
            output = news.row.take(news.logits, news.token, self.checkpoint.tokenizer)
        except ROW_FAULTS as error:
            self._fail(news.row, error, outputs)
            return
        self._tokens += 1
        outputs.append(output)
        if output.ends:
            self._forget(news.row)

    def _decode(self, outputs: list[Output]) -> None:
        """One token for every running row; if the batch fails, each row alone."""
        rows = list(self._running.values())
        if not rows:
            return
        try:
            news = self._forward(rows)
        except ROW_FAULTS:
            news = []
            for row in rows:
                self._batch = None
                try:
                    news += self._forward([row])
                except ROW_FAULTS as error:
                    self._fail(row, error, outputs)
            self._batch = None
        for one in news:
            self._take(one, outputs)

    def _forward(self, rows: list[Row]) -> list[News]:
        """Logits of the rows' next tokens; nothing of a row changes where this raises."""
        by_place = {row.place: row for row in rows if row.place is not None}
        if self._batch is None:
            self._batch = self.decoder.batch(list(by_place))
        ordered = [by_place[place] for place in self._batch.places]
        logits = self._batch.step(
            [row.tokens[-1] for row in ordered], [row.position for row in ordered]
        )
        return news_of(ordered, logits)
