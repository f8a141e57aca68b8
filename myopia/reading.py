"""Takes rows from their prompts to their survivors, a bounded piece of work at a time.

Order of work: pictures that the next piece shows, the piece itself, descriptions where the image
set is to be pruned before the question, and after the last piece the pruning. Pieces always end at
the same positions, whatever was cached; those of several rows that are together no longer than one
are read in one call. Where that fails, each row starts again alone. Nothing here knows slots.
"""

from collections.abc import Callable, Sequence

from myopia.compress import Compression, SmallSets, survivors_of
from myopia.explanation import explain_row
from myopia.faults import ROW_FAULTS
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.prefill import Piece, pictures_between, read_pieces
from myopia.prefixes import Prefixes, prefix_key
from myopia.pruning import Survivors, prune_row
from myopia.row import Row
from myopia.spending import count_survivors, timed
from myopia.vision import Vision
from myopia.workspace import Workspace

# Pictures that go through the vision tower in one call. The pocket's take 25.8 ms each alone, 12.6
# by four, 9.6 by eight, 9.5 by sixteen (one busy core): more only makes a piece of work longer.
PICTURES_TOGETHER = 8
# Prompts that are read at the same time hold at most so many pieces' worth of tokens (one prompt
# may always be longer): what they wait for is each other's last pieces, which are short.
PIECES_HELD = 4


class Reader:
    """Reads several rows' prompts; a row is done when it has survivors, or a fault."""

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
        self.workspace = Workspace(checkpoint, PIECES_HELD * piece_tokens)

    def has_room(self, row: Row) -> bool:
        """Whether a row could be read beside those that are."""
        return self.workspace.has_room(row.prompt.layout.length)

    def begin(self, row: Row) -> None:
        """Start on a row, behind a kept image set where there is one."""
        row.space = self.workspace.take(row.prompt.layout.length)
        _guard([row], lambda: self._open(row))

    def leave(self, row: Row) -> None:
        """Let go of what reading a row took."""
        if row.space is not None:
            self.workspace.give(row.space)
            row.space = None

    def opens(self, row: Row) -> bool:
        """Whether there is work before the row's last piece."""
        _, stop = self._next(row)
        before_end = stop < row.prompt.layout.length
        return before_end or row.compression is not None or bool(self._missing(row))

    def advance(self, rows: Sequence[Row]) -> None:
        """One piece of work on rows that `opens` is true of; the first one's comes first."""
        first = rows[0]
        fellows = [first] if first.alone else [row for row in rows if not row.alone]
        if (work := first.compression) is not None:
            _guard([first], lambda: self._compress(first, work))
        elif self._missing(first):
            self._look(fellows)
        else:
            ready = [r for r in fellows if r.compression is None and not self._missing(r)]
            self._together(self._fitting(ready))

    def finish(self, rows: Sequence[Row]) -> None:
        """The last pieces of rows that nothing else is open of, and their pruning."""
        left = list(rows)
        while left:
            fellows = [left[0]] if left[0].alone else [row for row in left if not row.alone]
            chosen = self._fitting(fellows)
            left = [row for row in left if row not in chosen]
            self._together(chosen)
            for row in chosen:
                if row.first_logits is not None:
                    _guard([row], lambda row=row: self._prune(row))  # type: ignore[misc]

    def _open(self, row: Row) -> None:
        """Bring a row to its first piece of work."""
        layout, space = row.prompt.layout, row.space
        assert space is not None
        row.read, row.compression, row.small, row.cache.features = 0, None, None, 0
        with timed(row, "prefill_ms"):
            if row.probes:
                key = SmallSets.key(_key(row), layout, row.pruning)
                row.small = self.small_sets.resume(key, space)
                if row.small is not None:
                    _resumed(row, "compressed")
                return
            row.observer = None
            if row.reuse != "none" and row.prompt.prefix:
                row.observer = self.prefixes.resume(
                    _key(row), space, row.prompt, row.pruning, row.explain
                )
            if row.observer is not None:
                _resumed(row, "exact")
                return
            row.observer = Observer(
                layout, row.pruning, layers=self.checkpoint.layers, explain=row.explain
            )

    def _next(self, row: Row) -> tuple[int, int]:
        """Where the next piece begins and ends: never across the end of the last image."""
        prompt = row.prompt
        bound = prompt.prefix if row.read < prompt.prefix else prompt.layout.length
        return row.read, min(row.read + self.piece_tokens, bound)

    def _fitting(self, rows: Sequence[Row]) -> list[Row]:
        """The first row, and those of the others whose next pieces fit into one beside it."""
        chosen: list[Row] = []
        room = self.piece_tokens
        for row in rows:
            start, stop = self._next(row)
            if not chosen or stop - start <= room:
                chosen.append(row)
                room -= stop - start
        return chosen

    def _missing(self, row: Row) -> list[int]:
        """Pictures of the next piece that must be looked at; those that were are recalled."""
        missing = []
        for number in pictures_between(row.prompt, *self._next(row)):
            if number in row.features:
                continue
            found = self.vision.known(row.pictures[number], row.prompt.tiles)
            if found is None:
                missing.append(number)
                continue
            row.features[number] = found
            row.cache.features += 1
        return missing

    def _look(self, rows: Sequence[Row]) -> None:
        """Look at the first row's next pictures, and at others' as far as there is room."""
        tiles = rows[0].prompt.tiles
        wanted = [
            (row, number)
            for row in rows
            if row.prompt.tiles == tiles and row.compression is None
            for number in self._missing(row)
        ][:PICTURES_TOGETHER]
        pictures = {row.pictures[number].digest: row.pictures[number] for row, number in wanted}
        owners = list(dict.fromkeys(row for row, _ in wanted))

        def look() -> None:
            with timed(owners, "vision_ms"):
                found = self.vision.look(list(pictures.values()), tiles)
            features = dict(zip(pictures, found, strict=True))
            for row, number in wanted:
                row.features[number] = features[row.pictures[number].digest]

        self._or_alone(owners, look)

    def _together(self, rows: Sequence[Row]) -> None:
        self._or_alone(rows, lambda: self._read(rows))

    def _or_alone(self, rows: Sequence[Row], work: Callable[[], None]) -> None:
        """Do work for several rows; where it fails, each starts again and goes on alone."""
        faults = _guard(rows, work) if len(rows) == 1 else _tried(work)
        if len(rows) > 1 and faults is not None:
            for row in rows:
                row.alone, row.first_logits = True, None
                _guard([row], lambda row=row: self._open(row))  # type: ignore[misc]

    def _read(self, rows: Sequence[Row]) -> None:
        """Read the next piece of every row in one call."""
        pieces = [self._piece(row) for row in rows]
        with timed(rows, "prefill_ms", [piece.tokens for piece in pieces]):
            hidden = read_pieces(self.checkpoint, pieces)
            for row, piece, states in zip(rows, pieces, hidden, strict=True):
                if piece.stop == piece.prompt.layout.length:
                    row.first_logits = self.checkpoint.model.lm_head(states[-1]).float()
        for row, piece in zip(rows, pieces, strict=True):
            self._note(row, piece)

    def _piece(self, row: Row) -> Piece:
        assert row.space is not None
        of = row.features.__getitem__
        return Piece(row.space, row.prompt, *self._next(row), of, row.observer, row.dropped)

    def _note(self, row: Row, piece: Piece) -> None:
        """Remember how far a row is, and keep its image set once that is read."""
        prompt, space = row.prompt, piece.space
        row.read = piece.stop
        for number in [n for n in row.features if prompt.layout.spans[n].stop <= piece.stop]:
            del row.features[number]
        if piece.stop == prompt.prefix:
            if row.probes:
                row.compression = Compression(space, prompt.layout, row.probes)
            elif row.reuse != "none" and row.observer is not None:
                self.prefixes.keep(_key(row), space, prompt, row.observer)

    def _compress(self, row: Row, compression: Compression) -> None:
        with timed(row, "prune_ms"):
            if not compression.advance():
                return
            row.compression = None
            row.small = compression.result(row.pruning)
            key = SmallSets.key(_key(row), row.prompt.layout, row.pruning)
            self.small_sets.keep(key, row.small)

    def _prune(self, row: Row) -> None:
        with timed(row, "prune_ms"):
            kept = self._survivors(row)
            count_survivors(row, kept)
        row.survivors = kept

    def _survivors(self, row: Row) -> list[Survivors]:
        layout, space = row.prompt.layout, row.space
        assert space is not None
        if row.small is not None:
            return survivors_of(space, row.small, layout.length, row.prompt.prefix)
        assert row.observer is not None
        kept = prune_row(space.layers(layout.length), row.observer, layout, row.pruning)
        if row.explain:
            row.explained = explain_row(row.observer)
        return kept


def _tried(work: Callable[[], None]) -> Exception | None:
    """What went wrong with some work, if anything did."""
    try:
        work()
    except ROW_FAULTS as error:
        return error
    return None


def _guard(rows: Sequence[Row], work: Callable[[], None]) -> Exception | None:
    """Do work for one row; what goes wrong is its fault."""
    error = _tried(work)
    for row in rows:
        row.fault = error if error is not None else row.fault
    return error


def _key(row: Row) -> str:
    return prefix_key(row.prompt, [picture.digest for picture in row.pictures])


def _resumed(row: Row, kind: str) -> None:
    row.read = row.prompt.prefix
    row.cache.prefill = "exact" if kind == "exact" else "compressed"
    row.cache.features = len(row.pictures)
