"""How large an engine is, and how full: plain numbers.

Nothing here knows what the numbers are used for.
"""

from dataclasses import dataclass

import torch

from myopia.decoding import Decode
from myopia.loading import Checkpoint

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Sizes of an engine, fixed for its life.

    `kv_bytes`: keys and values of all running rows (None: 512 MiB on a CPU, half of the free
    memory on a GPU). `gap_seconds`: how long running rows may wait while prompts are read; one
    piece of `piece_tokens` tokens (or eight pictures), and the last pieces of the prompts that
    are then at their ends, may exceed it. Prompts that are together no longer than four such
    pieces are read at the same time, and short pieces in one call. `feature_bytes`: image features
    on the device; those it displaces move to `feature_host_bytes` of host memory, where the device
    is not the host. `decode`: how rows decode together, see `decoding`; `auto` is `graphs` on a
    CUDA device with Triton, else `plain`.
    """

    most_rows: int = 32
    kv_bytes: int | None = None
    piece_tokens: int = 512
    gap_seconds: float = 0.2
    feature_bytes: int = 256 * MEBIBYTE
    feature_host_bytes: int = 1024 * MEBIBYTE
    prefix_bytes: int = 512 * MEBIBYTE
    small_set_bytes: int = 256 * MEBIBYTE
    decode: Decode = "auto"


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How full the engine is, and what it has done."""

    waiting: int
    reading: int
    running: int
    cells: int
    free_cells: int
    cell_bytes: int
    feature_bytes: int
    feature_host_bytes: int
    feature_hits: int
    prefix_bytes: int
    prefix_hits: int
    small_set_bytes: int
    small_set_hits: int
    steps: int
    tokens: int


def kv_bytes_of(checkpoint: Checkpoint, config: EngineConfig) -> int:
    """Bytes for the keys and values of running rows."""
    if config.kv_bytes is not None:
        return config.kv_bytes
    if checkpoint.device.type == "cuda":
        return int(torch.cuda.mem_get_info(checkpoint.device)[0]) // 2
    return 512 * MEBIBYTE
