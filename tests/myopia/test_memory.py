"""Ten thousand short asks leave memory as flat as one thousand did."""

import os
from pathlib import Path

import pytest

from myopia.engine import Engine, EngineConfig
from myopia.loading import load
from myopia.params import Pruning, Request, Sampling
from tests.myopia.engine_runs import MIB, asking, picture

WORDS = ["which image", "what colour is the star", "where", "describe the last picture"]
PRUNINGS = [Pruning(), Pruning(policy="snapkv"), Pruning(head_mode="wise"), Pruning(budget=1)]
SEEN_AT = (1_000, 5_000, 10_000)
IN_FLIGHT = 24


def resident_mib() -> float:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def short(number: int) -> Request:
    """An ask unlike its neighbours; every fifth picture was seen before, every ninth has none."""
    shown = [picture(number - number % 5, 64, 48)] if number % 9 else []
    return asking(
        f"ask_{number}",
        *shown,
        WORDS[number % 4],
        tiles="base",
        reuse=("exact", "none", "compressed" if number % 4 == 0 else "exact")[number % 3],
        pruning=PRUNINGS[number % 4],
        explain=number % 50 == 0,
        sampling=Sampling(max_tokens=1 + number % 3, temperature=number % 2, seed=number),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory as Linux says")
def test_ten_thousand_short_asks_leave_memory_flat(small_tiles_folder: Path) -> None:
    sizes = {"feature_bytes": MIB, "prefix_bytes": 2 * MIB, "small_set_bytes": MIB}
    engine = Engine(load(str(small_tiles_folder)), EngineConfig(kv_bytes=4 * MIB, **sizes))
    added, ended, resident = 0, 0, dict[int, float]()
    while ended < SEEN_AT[-1]:
        while added < SEEN_AT[-1] and added - ended < IN_FLIGHT:
            engine.add(short(added))
            if added % 40 == 7:
                engine.cancel(f"ask_{added}")
            added += 1
        for output in engine.step():
            assert output.failed is None, repr(output.failed.__cause__ or output.failed)
            ended += output.ends
            if output.ends and ended in SEEN_AT:
                resident[ended] = resident_mib()
    print({count: round(size, 1) for count, size in resident.items()})
    stats = engine.stats()
    assert stats.free_cells == stats.cells
    assert engine.reader.workspace.held == 0
    for held, limit in (
        (stats.feature_bytes, engine.config.feature_bytes),
        (stats.prefix_bytes, engine.config.prefix_bytes),
        (stats.small_set_bytes, engine.config.small_set_bytes),
    ):
        assert 0 < held <= limit
    # 9,000 asks more: a leak of one KiB each would be 9 MiB.
    assert resident[10_000] - resident[1_000] < 8
    assert resident[10_000] - resident[5_000] < 4
