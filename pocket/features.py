"""Vision features of whole shards, computed once with the frozen tower and kept as float16.

The language layers then train without paying for vision. Knows no questions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pocket.albums import PICTURES, Album
from pocket.gallery import drawn, open_shard, shard_folder
from pocket.model import Model
from pocket.tiles import packing


@dataclass(frozen=True, slots=True)
class Pages:
    """One shard as the language model needs it."""

    features: NDArray[np.float16]  # (tiles, PER_TILE, vision width), memory-mapped
    thing: NDArray[np.int8]  # (tiles, PER_TILE)
    start: NDArray[np.int64]
    albums: list[Album]

    def tokens(
        self, picture: int
    ) -> tuple[NDArray[np.float16], NDArray[np.int8], NDArray[np.bool_]]:
        """Features (n, width), thing labels (n,), and which tokens are newlines (n,)."""
        scene = self.albums[picture // PICTURES].scenes[picture % PICTURES]
        order = packing(scene.width, scene.height)
        rows = slice(int(self.start[picture]), int(self.start[picture + 1]))
        newline = order < 0
        flat = self.features[rows].reshape(-1, self.features.shape[-1])[np.maximum(order, 0)]
        thing = np.where(newline, -1, self.thing[rows].reshape(-1)[np.maximum(order, 0)])
        return flat, thing.astype(np.int8), newline


@torch.no_grad()
def encode_shard(model: Model, gallery: Path, folder: Path, number: int) -> None:
    """Write the features of one shard, unless they are there."""
    target = folder / f"{number:05d}.npy"
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    tiles = np.load(shard_folder(gallery, number) / "tiles.npy", mmap_mode="r")
    parts = []
    for at in range(0, len(tiles), 256):
        pixels = torch.from_numpy(tiles[at : at + 256].copy()).permute(0, 3, 1, 2)
        hidden = model.model.vision_tower(pixel_values=pixels.float() / 127.5 - 1)
        parts.append(hidden.last_hidden_state[:, 1:].half().numpy())
    partial = target.with_suffix(".partial.npy")
    np.save(partial, np.concatenate(parts))
    partial.rename(target)


def open_pages(gallery: Path, folder: Path) -> list[Pages]:
    """All shards that have features."""
    pages = []
    for number in drawn(gallery):
        file = folder / f"{number:05d}.npy"
        if file.exists():
            shard = open_shard(gallery, number)
            pages.append(
                Pages(np.load(file, mmap_mode="r"), shard.thing, shard.start, shard.albums)
            )
    return pages
