"""The padded step is the plain one, whatever fills its bucket up, and needs no host inside."""

from pathlib import Path
from typing import Any

import pytest
import torch

from myopia.columns_cuda import fused_is_possible
from myopia.decode import Batch
from myopia.decoding import Decoder, PaddedBatch
from myopia.engine import Engine, EngineConfig
from myopia.errors import Unsupported
from myopia.graphs import Graphs
from myopia.loading import Checkpoint, load
from myopia.padded import Bucket, PaddedStep
from myopia.pruning import Survivors
from myopia.slots import Place, Slots
from tests.myopia.engine_runs import MIB, run
from tests.myopia.test_engine_rows import assert_same, varied


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


def filled(checkpoint: Checkpoint, count: int) -> tuple[Slots, list[Place]]:
    """Slots with rows of different lengths in every layer, every second one biased."""
    slots = Slots(
        6000,
        heads=checkpoint.key_heads,
        width=checkpoint.head_dim,
        dtype=torch.float32,
        device=checkpoint.device,
    )
    chance = torch.Generator().manual_seed(1)
    places = []
    for number in range(count):
        layers = []
        for layer in range(checkpoint.layers):
            kept = 5 + 23 * ((number + layer) % 4)
            shape = (checkpoint.key_heads, kept, checkpoint.head_dim)
            keys, values = (torch.randn(shape, generator=chance) for _ in range(2))
            bias = torch.rand(shape[:2], generator=chance) if number % 2 else None
            layers.append(Survivors(keys, values, bias, torch.arange(kept)[None], 0))
        place = slots.place(layers, 8)
        assert place is not None
        places.append(place)
    return slots, places


def steps(
    checkpoint: Checkpoint, count: int, decode: Any, run: Any = None
) -> tuple[torch.Tensor, list[list[int]]]:
    """Logits `(steps, B, V)` of five steps, and how many slots are filled after them."""
    slots, places = filled(checkpoint, count)
    batch = Decoder(checkpoint, slots, decode).batch(places)
    if run is not None:
        assert isinstance(batch, PaddedBatch)
        batch._run = run(batch._step)
    made = []
    for number in range(5):
        tokens = [(7 * row + number) % 90 + 5 for row in range(count)]
        positions = [200 + 10 * row + number for row in range(count)]
        made.append(batch.step(tokens, positions).clone())
    return torch.stack(made), [place.filled for place in places]


@pytest.mark.parametrize("count", [1, 3, 5, 11])
def test_the_padded_step_is_the_plain_one(checkpoint: Checkpoint, count: int) -> None:
    with torch.inference_mode():
        plain, padded = (steps(checkpoint, count, kind) for kind in ("plain", "padded"))
    torch.testing.assert_close(padded[0], plain[0], atol=2e-5, rtol=1e-4)
    assert torch.equal(padded[0].argmax(-1), plain[0].argmax(-1))
    assert padded[1] == plain[1]


def test_the_step_is_one_graph_without_the_host(checkpoint: Checkpoint) -> None:
    """A number read from the device, or a shape made of one, would break the graph."""

    def compiled(step: PaddedStep) -> Any:
        torch._dynamo.reset()
        return torch.compile(step.forward, backend="eager", fullgraph=True, dynamic=False)

    with torch.inference_mode():
        plain = steps(checkpoint, 3, "plain")
        whole = steps(checkpoint, 3, "padded", compiled)
    torch.testing.assert_close(whole[0], plain[0], atol=2e-5, rtol=1e-4)


def test_rows_that_fill_up_touch_nobodys_slots(checkpoint: Checkpoint) -> None:
    slots, places = filled(checkpoint, 3)
    step = PaddedStep(checkpoint, slots, Bucket(4, 256))
    before = slots.keys.clone(), slots.values.clone(), slots.bias.clone()
    spare = slice(slots.spare * slots.heads, None)
    with torch.inference_mode():
        for _ in range(3):
            step.forward()
        for block, was in zip((slots.keys, slots.values, slots.bias), before, strict=True):
            assert torch.equal(block[: spare.start], was[: spare.start])
        assert slots.keys[spare].any(), "they do write, and here"
        step.load(places[:1])
        step.give([7], [100])
        step.forward()
    changed = (slots.keys[: spare.start] != before[0][: spare.start]).any(1).nonzero()[:, 0]
    own = slots.origins_of(places[:1])[:, 0] + torch.tensor(places[0].filled)[:, None]
    assert changed.tolist() == sorted(own.flatten().tolist())


@pytest.mark.parametrize(
    ("rows", "longest", "bucket"),
    [(1, 32, (1, 256)), (3, 257, (4, 512)), (8, 512, (8, 512)), (9, 4000, (16, 4096)),
     (17, 300, (24, 512))],
)  # fmt: skip
def test_buckets(rows: int, longest: int, bucket: tuple[int, int]) -> None:
    places = [Place(0, (32, longest))] * rows
    assert Bucket.of(places) == Bucket(*bucket)


def test_asks_are_answered_alike(checkpoint: Checkpoint) -> None:
    """All that rows may differ in, joining and leaving, by the padded step."""
    requests = varied()
    plain = run(Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB, decode="plain")), *requests)
    engine = Engine(checkpoint, EngineConfig(kv_bytes=MIB // 2, most_rows=5, decode="padded"))
    padded = run(engine, *requests)
    assert len(engine.decoder._steps) > 1, "several buckets"
    for ask_id, answered in padded.items():
        assert_same(answered, plain[ask_id])


def test_a_device_chooses(checkpoint: Checkpoint) -> None:
    slots, places = filled(checkpoint, 1)
    decoder = Decoder(checkpoint, slots)
    assert decoder.kind == "plain", "on a CPU"
    assert isinstance(decoder.batch(places), Batch)
    with pytest.raises(Unsupported, match="CUDA"):
        Decoder(checkpoint, slots, "graphs")


def test_what_cannot_be_captured_decodes_plainly(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Graphs):
        def __init__(self) -> None: ...

        def capture(self, step: PaddedStep) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing")

    slots, places = filled(checkpoint, 2)
    decoder = Decoder(checkpoint, slots, "padded")
    decoder._graphs = Failing()
    assert isinstance(decoder.batch(places), Batch)
    assert "not permitted" in caplog.text
    assert isinstance(decoder.batch(places), Batch)
    assert len(caplog.records) == 1, "tried once"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing is captured")
def test_captured_steps_are_the_plain_ones(small_tiles_folder: Path) -> None:
    there = load(str(small_tiles_folder), device="cuda", dtype="float32")
    requests = varied()
    plain = run(Engine(there, EngineConfig(kv_bytes=16 * MIB, decode="plain")), *requests)
    engine = Engine(there, EngineConfig(kv_bytes=16 * MIB, decode="graphs"))
    captured = run(engine, *requests)
    assert engine.decoder.kind == "graphs", "no fallback"
    assert fused_is_possible(engine.slots.keys)
    for ask_id, answered in captured.items():
        assert_same(answered, plain[ask_id])
