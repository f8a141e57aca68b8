"""A hall where several processes examine one checkpoint, a thread each.

The parts of an exam do not need each other. Pictures are drawn and seen once, between all, and
read by all from one file. Knows no tasks and no goals.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import LlavaNextForConditionalGeneration

from pocket.albums import sample_album
from pocket.exam import HELD_OUT, Mark, held_out
from pocket.features import Pages
from pocket.model import Model
from pocket.pool import open_pool

Part = Callable[[Model, Pages], list[Mark]]
Sit = Callable[[Sequence[Part]], list[list[Mark]]]
CHUNK = 30  # albums drawn and seen at a time


@dataclass(frozen=True, slots=True)
class Drawing:
    """Which held-out albums: how many from which number on; `only`: all of that sort."""

    albums: int
    first: int = 0
    only: str | None = None

    def chunks(self) -> list["Drawing"]:
        """The same albums in pieces."""
        starts = range(0, self.albums, CHUNK)
        return [Drawing(min(CHUNK, self.albums - at), self.first + at, self.only) for at in starts]

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.only or 'any'}-{self.first}-{self.albums}"


@dataclass(frozen=True, slots=True)
class Hall:
    """Processes that wait for parts of an exam; made by `open_hall`."""

    weights: Path
    folder: Path
    pool: ProcessPoolExecutor

    def draw(self, drawing: Drawing) -> Sit:
        """Draw and see the albums; what comes back examines the checkpoint on them, in order."""
        pieces = drawing.chunks()
        tasks = [self.pool.submit(_see, self.weights, self.folder, one) for one in pieces]
        for task in tasks:
            task.result()
        _join(self.folder, drawing, pieces)

        def sit(parts: Sequence[Part]) -> list[list[Mark]]:
            asked = [
                self.pool.submit(_sit, self.weights, self.folder, drawing, part) for part in parts
            ]
            return [task.result() for task in asked]

        return sit


@contextmanager
def open_hall(weights: Path, jobs: int) -> Iterator[Hall]:
    """A hall of `jobs` processes for the checkpoint in a folder."""
    with TemporaryDirectory(prefix="pocket-") as folder, open_pool(jobs) as pool:
        yield Hall(weights, Path(folder), pool)


def alone(model: Model, pages: Pages) -> Sit:
    """The same in this process."""
    return lambda parts: [part(model, pages) for part in parts]


def joined(marks: Iterable[list[Mark]]) -> list[Mark]:
    """One list."""
    return [one for part in marks for one in part]


@lru_cache(maxsize=1)
def _model(weights: Path) -> Model:
    torch.set_num_threads(1)
    return LlavaNextForConditionalGeneration.from_pretrained(weights)


@lru_cache(maxsize=4)
def _pages(folder: Path, drawing: Drawing) -> Pages:
    features = np.load(folder / f"{drawing.name}.npy", mmap_mode="r")
    with np.load(folder / f"{drawing.name}.npz") as rest:
        thing, start = rest["thing"], rest["start"]
    first = HELD_OUT + drawing.first
    albums = [sample_album(first + i, drawing.only) for i in range(drawing.albums)]
    return Pages(features, thing, start, albums)


def _see(weights: Path, folder: Path, drawing: Drawing) -> None:
    pages = held_out(_model(weights), drawing.albums, drawing.first, drawing.only)
    np.save(folder / f"{drawing.name}.npy", pages.features)
    np.savez(folder / f"{drawing.name}.npz", thing=pages.thing, start=pages.start)


def _join(folder: Path, drawing: Drawing, pieces: list[Drawing]) -> None:
    """Make one file of the pieces' files, unless there is one piece, which is it already."""
    if pieces == [drawing]:
        return
    seen = [np.load(folder / f"{one.name}.npy", mmap_mode="r") for one in pieces]
    things, starts, tiles = [], [np.zeros(1, np.int64)], 0
    for one in pieces:
        with np.load(folder / f"{one.name}.npz") as rest:
            things.append(rest["thing"])
            starts.append(rest["start"][1:] + tiles)
        tiles += len(things[-1])
    shape = (tiles, *seen[0].shape[1:])
    whole = np.lib.format.open_memmap(
        folder / f"{drawing.name}.npy", mode="w+", dtype=seen[0].dtype, shape=shape
    )
    at = 0
    for features in seen:
        whole[at : at + len(features)] = features
        at += len(features)
    whole.flush()
    np.savez(
        folder / f"{drawing.name}.npz", thing=np.concatenate(things), start=np.concatenate(starts)
    )
    for one in pieces:
        for ending in ("npy", "npz"):
            (folder / f"{one.name}.{ending}").unlink()


def _sit(weights: Path, folder: Path, drawing: Drawing, part: Part) -> list[Mark]:
    return part(_model(weights), _pages(folder, drawing))
