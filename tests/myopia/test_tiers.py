"""Tensors that the device has no room for wait in host memory, and come back when asked for."""

from pathlib import Path

import pytest
import torch

from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Picture, Sampling
from myopia.tiers import Tiers
from myopia.tiles import TilesUsed
from tests.myopia.engine_runs import MIB, asking, picture, run

CPU = torch.device("cpu")


def four_bytes(value: int) -> torch.Tensor:
    return torch.full((4,), value, dtype=torch.uint8)


def test_displaced_tensors_move_to_the_host_and_come_back() -> None:
    tiers: Tiers[str] = Tiers(CPU, device_bytes=8, host_bytes=8)
    for name, value in (("a", 1), ("b", 2), ("c", 3)):
        tiers.put(name, four_bytes(value))
    assert ("a" in tiers.near, "a" in tiers.far) == (False, True)
    assert (tiers.near.held_bytes, tiers.far.held_bytes) == (8, 4)
    back = tiers.get("a")
    assert back is not None
    assert back.tolist() == [1, 1, 1, 1]
    assert ("a" in tiers.near, "a" in tiers.far) == (True, False), "in one tier at a time"
    assert "b" in tiers.far, "what its return displaced"
    assert tiers.hits == 1


def test_the_host_forgets_what_was_longest_unused() -> None:
    tiers: Tiers[str] = Tiers(CPU, device_bytes=4, host_bytes=8)
    for name in "abcd":
        tiers.put(name, four_bytes(ord(name)))
    assert "a" not in tiers
    assert tiers.get("a") is None
    assert [name in tiers.far for name in "bc"] == [True, True]
    assert (tiers.near.held_bytes, tiers.far.held_bytes) == (4, 8)


def test_the_copy_in_host_memory_is_a_copy() -> None:
    tiers: Tiers[str] = Tiers(CPU, device_bytes=4, host_bytes=8)
    first = four_bytes(7)
    tiers.put("a", first)
    tiers.put("b", four_bytes(8))
    first.fill_(0)
    found = tiers.get("a")
    assert found is not None
    assert found.tolist() == [7] * 4


@pytest.mark.parametrize(("device_bytes", "host_bytes"), [(0, 8), (3, 8)])
def test_without_room_on_the_device_the_host_serves(device_bytes: int, host_bytes: int) -> None:
    tiers: Tiers[str] = Tiers(CPU, device_bytes, host_bytes)
    tiers.put("a", four_bytes(1))
    for _ in range(2):
        found = tiers.get("a")
        assert found is not None
        assert found.tolist() == [1] * 4
    assert tiers.far.hits == 2
    assert tiers.near.held_bytes == 0


def test_without_a_host_tier_the_displaced_are_gone() -> None:
    tiers: Tiers[str] = Tiers(CPU, device_bytes=4, host_bytes=0)
    tiers.put("a", four_bytes(1))
    tiers.put("b", four_bytes(2))
    assert ("a" in tiers, "b" in tiers) == (False, True)


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


@pytest.mark.parametrize("tier", ["device", "host"])
def test_a_picture_is_looked_at_once_whatever_tier_keeps_it(
    checkpoint: Checkpoint, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB))
    if tier == "host":  # as on a GPU: room for one picture there, for more in host memory
        engine.vision.cache = Tiers(CPU, 84 * 4 * 64, MIB)
    looked: list[str] = []
    look = engine.vision.look

    def note(pictures: list[Picture], tiles: TilesUsed) -> list[torch.Tensor]:
        looked.extend(one.digest for one in pictures)
        return look(pictures, tiles)

    monkeypatch.setattr(engine.vision, "look", note)
    few = {"sampling": Sampling(max_tokens=4), "tiles": "max", "reuse": "none"}
    seen = [picture(1), picture(2), picture(3)]
    (first,) = run(engine, asking("ask_1", *seen, "what", **few)).values()
    if tier == "host":
        assert engine.stats().feature_host_bytes > 0
    (again,) = run(engine, asking("ask_2", *seen, "what", **few)).values()
    assert again[0] == first[0]
    assert (first[1].cache.features, again[1].cache.features) == (0, 3)
    assert sorted(looked) == sorted(one.digest for one in seen)


def test_on_a_cpu_host_memory_is_the_one_tier(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, EngineConfig(feature_bytes=1000, feature_host_bytes=10**9))
    assert (engine.vision.cache.near.limit_bytes, engine.vision.cache.far.limit_bytes) == (1000, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing to pin for")
def test_from_cuda_the_copy_is_pinned() -> None:
    device = torch.device("cuda")
    tiers: Tiers[str] = Tiers(device, device_bytes=4000, host_bytes=8192)
    values = torch.arange(1000, dtype=torch.float32, device=device)
    tiers.put("a", values)
    tiers.put("b", torch.zeros_like(values))
    stored = tiers.far.get("a")
    assert stored is not None
    assert stored.is_pinned()
    assert tiers.far.held_bytes == 4096, "the block that the allocator hands out"
    back = tiers.get("a")
    assert back is not None
    assert back.is_cuda
    assert torch.equal(back, values)
