"""Draws albums into shards on disk: `python -m pocket.gallery FOLDER FIRST COUNT`.

A shard holds tiles, patch labels and scenes of its albums. Knows nothing of models or wordings.
"""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocket.albums import Album, sample_album
from pocket.draw import draw
from pocket.labels import label
from pocket.tiles import cut

ALBUMS = 40
CROWDED = 10_000  # shards from this number on are crowded: for the vision stage only
SERIES = 20_000  # and from this one on all albums are series: for the reading stage only


@dataclass(frozen=True, slots=True)
class Shard:
    """Pictures of one shard; `start[i]` is picture i's first tile, `start[-1]` their number."""

    tiles: NDArray[np.uint8]  # (tiles, TILE, TILE, 3), memory-mapped
    kind: NDArray[np.int8]  # (tiles, PER_TILE)
    color: NDArray[np.int8]
    thing: NDArray[np.int8]
    center: NDArray[np.float16]
    start: NDArray[np.int64]
    albums: list[Album]


def shard_folder(folder: Path, number: int) -> Path:
    """Where shard `number` lies."""
    return folder / f"{number:05d}"


def sort_of(number: int) -> str | None:
    """The sort of all albums of that shard, None when mixed."""
    if number < CROWDED:
        return None
    return "crowd" if number < SERIES else "series"


def draw_shard(folder: Path, number: int) -> None:
    """Draw one shard; an existing one is left as it is."""
    target = shard_folder(folder, number)
    if target.exists():
        return
    albums = [sample_album(number * ALBUMS + i, sort_of(number)) for i in range(ALBUMS)]
    scenes = [scene for album in albums for scene in album.scenes]
    tiles = [cut(draw(scene)) for scene in scenes]
    labels = [label(scene) for scene in scenes]
    arrays: dict[str, NDArray[Any]] = {
        "tiles": np.concatenate(tiles),
        "start": np.cumsum([0] + [len(t) for t in tiles]),
    }
    for name in ("kind", "color", "thing", "center"):
        arrays[name] = np.concatenate([getattr(one, name) for one in labels])
    partial = target.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(partial / f"{name}.npy", array)
    (partial / "albums.pickle").write_bytes(pickle.dumps(albums))
    partial.rename(target)


def open_shard(folder: Path, number: int) -> Shard:
    """Open a drawn shard; its tiles stay on disk until touched."""
    place = shard_folder(folder, number)
    loaded = {
        name: np.load(place / f"{name}.npy")
        for name in ("kind", "color", "thing", "center", "start")
    }
    tiles = np.load(place / "tiles.npy", mmap_mode="r")
    albums = pickle.loads((place / "albums.pickle").read_bytes())  # noqa: S301 - our own files
    return Shard(tiles=tiles, albums=albums, **loaded)


def drawn(folder: Path) -> list[int]:
    """Numbers of the shards that are ready."""
    return (
        sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.exists() else []
    )


if __name__ == "__main__":
    place, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for shard in range(first, first + count):
        draw_shard(place, shard)
