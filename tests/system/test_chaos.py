"""The short form of `make chaos`: real processes, seconds per fault, nothing lost.

Only what must hold on any machine is asserted; figures of time belong to the long run.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.redis_server import find_binary
from tests.system.chaos.gateway_faults import kill_gateway
from tests.system.chaos.load_faults import identical_asks, overload, soak
from tests.system.chaos.network_faults import half_open
from tests.system.chaos.redis_faults import restart_redis, wipe_redis
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.worker_faults import kill_all, kill_one_by_one, stop_and_continue

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no redis-server here")
Scene = Callable[[Measure], Outcome]


def play(scene: Scene, folder: Path, lease_seconds: float = 2) -> Outcome:
    outcome = scene(Measure(0.001, folder, lease_seconds=lease_seconds))
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    return outcome


def test_workers_die_and_nothing_is_lost(tmp_path: Path) -> None:
    # a crowded machine may starve a worker that lives for longer than two seconds
    figures = play(kill_one_by_one, tmp_path, lease_seconds=4).figures
    # an ask that lost its worker three times is dead, as is promised, until it is revived
    assert 3 * figures.get("revived", 0) <= figures["kills"], figures
    assert figures["accepted"] == figures["answered"], figures
    assert figures["lost"] == figures["twice"] == 0, figures
    assert "imbalance" not in figures


@pytest.mark.slow
def test_a_gateway_dies_and_streams_go_on(tmp_path: Path) -> None:
    outcome = play(kill_gateway, tmp_path)
    assert outcome.passed, outcome


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scene",
    [kill_all, stop_and_continue, restart_redis, wipe_redis, half_open, identical_asks, soak],
)
def test_the_other_faults(scene: Scene, tmp_path: Path) -> None:
    outcome = play(scene, tmp_path)
    assert outcome.passed, outcome


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_overload_is_refused_and_the_light_caller_is_not(tmp_path: Path) -> None:
    outcome = play(overload, tmp_path)
    assert outcome.figures["light_refused"] == 0, outcome
    assert int(outcome.figures["refused"]) > 0, outcome
