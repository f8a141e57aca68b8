"""Whatever comes, in whatever order: no slot stays behind, every ask ends once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Pruning, Sampling
from tests.myopia.engine_runs import asking, picture

CONFIG = EngineConfig(
    most_rows=4,
    kv_bytes=256 * 3 * 32 * 12,
    piece_tokens=64,
    gap_seconds=0,
    feature_bytes=40_000,
    prefix_bytes=200_000,
)
# Drawn once: hypothesis asks for them hundreds of times.
PICTURES = [picture(seed, 60, 60) for seed in range(4)]

prunings = st.builds(
    Pruning,
    policy=st.sampled_from(["myopia", "h2o", "snapkv", "pyramidkv", "full", "random"]),
    budget=st.floats(0.02, 1),
)
adds = st.builds(
    lambda **drawn: ("add", drawn),
    pictures=st.lists(st.integers(0, 3), max_size=3),
    pruning=prunings,
    max_tokens=st.integers(0, 40),
    temperature=st.sampled_from([0.0, 1.0]),
    tiles=st.sampled_from(["base", "max", "auto"]),
    reuse=st.sampled_from(["none", "exact"]),
    options=st.sampled_from([(), ("yes", "no"), ("a", "a")]),
    deadline=st.one_of(st.none(), st.integers(0, 12)),
)
moves = st.lists(
    st.one_of(
        adds,
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("step"), st.integers(1, 6)),
    ),
    max_size=24,
)


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


def check(engine: Engine) -> None:
    """What must hold after every step."""
    stats = engine.stats()
    held = sum(row.place.cells for row in engine._running.values() if row.place)
    assert held == stats.cells - stats.free_cells
    assert stats.running <= CONFIG.most_rows
    assert stats.feature_bytes <= CONFIG.feature_bytes
    assert stats.prefix_bytes <= CONFIG.prefix_bytes
    assert stats.waiting == len(engine.scheduler)
    assert all(row.place is None for row in engine._waiting.values())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves)
def test_no_slot_stays_and_every_ask_ends_once(
    checkpoint: Checkpoint, sequence: list[tuple[str, Any]]
) -> None:
    now = [0.0]
    engine = Engine(checkpoint, CONFIG, clock=lambda: now[0])
    added: list[str] = []
    ended: list[str] = []

    def step() -> None:
        for output in engine.step():
            assert output.ask_id not in ended, "news after the ending"
            if output.ends:
                assert (output.finished is None) != (output.failed is None)
                ended.append(output.ask_id)
        check(engine)

    for kind, what in sequence:
        if kind == "add":
            added.append(f"ask_{len(added)}")
            deadline = what["deadline"]
            request = asking(
                added[-1],
                *(PICTURES[number] for number in what["pictures"]),
                "what",
                pruning=what["pruning"],
                options=what["options"],
                tiles=what["tiles"],
                reuse=what["reuse"],
                sampling=Sampling(
                    max_tokens=what["max_tokens"], temperature=what["temperature"], seed=1
                ),
            )
            engine.add(replace(request, deadline=None if deadline is None else now[0] + deadline))
        elif kind == "cancel":
            engine.cancel(f"ask_{what}")
        elif kind == "wait":
            now[0] += what
        else:
            for _ in range(what):
                step()
    for _ in range(2000):
        if not engine.has_work:
            break
        step()
    assert sorted(ended) == sorted(added)
    assert engine.slots.extents.held == {}
    assert engine.reader.workspace.held == 0
    assert engine.slots.places == {}
    assert (engine.stats().waiting, engine.stats().reading, engine.stats().running) == (0, 0, 0)


@pytest.mark.slow
def test_ten_thousand_asks_leave_memory_flat(checkpoint: Checkpoint) -> None:
    import gc
    import resource

    engine = Engine(checkpoint, replace(CONFIG, most_rows=8, kv_bytes=2**20, gap_seconds=0.05))

    def ask(count: int) -> None:
        for number in range(count):
            pictures = [PICTURES[number % 4]]
            engine.add(asking(f"ask_{number}", *pictures, "x", sampling=Sampling(max_tokens=2)))
            while len(engine._waiting) > 16:
                engine.step()
        while engine.has_work:
            engine.step()

    ask(1000)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ask(10_000)
    gc.collect()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"\n10,000 asks: peak memory grew by {grown} KiB")
    assert grown < 20 * 1024
