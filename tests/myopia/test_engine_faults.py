"""What goes wrong with one ask stays with it; time, cancels and bad requests end asks once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from myopia.engine import Engine, EngineConfig
from myopia.errors import BadRequest, Expired, MyopiaError, OutOfMemory, PromptTooLong
from myopia.loading import Checkpoint, load
from myopia.params import Pruning, Sampling, Turn
from myopia.report import Output
from tests.myopia.engine_runs import CONFIG, asking, picture, run

LONG = Sampling(max_tokens=30)


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


def endings(engine: Engine) -> dict[str, Output]:
    """Step to the end; the last output of every ask."""
    ended: dict[str, Output] = {}
    while engine.has_work:
        for output in engine.step():
            assert output.ask_id not in ended
            if output.ends:
                ended[output.ask_id] = output
    assert engine.slots.extents.held == {}
    assert engine.reader.workspace.held == 0
    return ended


def test_cancel_within_one_step(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    engine.add(asking("ask_run", "where", sampling=LONG))
    engine.add(asking("ask_stay", "what", sampling=LONG))
    said = [output for output in engine.step() + engine.step() if output.ask_id == "ask_run"]
    engine.cancel("ask_run")
    engine.cancel("ask_nobody")
    (ending,) = [output for output in engine.step() if output.ask_id == "ask_run"]
    assert ending.finished is not None
    assert ending.finished.reason == "cancelled"
    assert ending.finished.answer == "".join(one.text for one in [*said, ending])
    assert ending.finished.usage.completion_tokens == sum(len(one.tokens) for one in said)
    assert list(endings(engine)) == ["ask_stay"]


def test_cancel_while_waiting_and_while_reading(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, replace(CONFIG, gap_seconds=0, piece_tokens=8))
    engine.add(asking("ask_read", picture(1), "where", tiles="base"))
    engine.add(asking("ask_wait", "what"))
    assert engine.step() == []
    assert (engine.stats().reading, engine.stats().waiting) == (1, 1)
    engine.cancel("ask_read")
    engine.cancel("ask_wait")
    outputs = engine.step()
    assert [o.finished.reason for o in outputs if o.finished] == ["cancelled"] * 2
    assert not engine.has_work


def test_deadlines_are_obeyed_wherever_a_row_is(checkpoint: Checkpoint) -> None:
    now = [100.0]
    engine = Engine(
        checkpoint, replace(CONFIG, gap_seconds=0, piece_tokens=8), clock=lambda: now[0]
    )
    engine.add(asking("ask_run", "where", sampling=LONG, deadline=200.0))
    while engine.stats().running == 0:
        engine.step()
    engine.add(asking("ask_read", picture(1), "where", tiles="base", deadline=200.0))
    engine.add(asking("ask_wait", "what", deadline=200.0))
    engine.add(asking("ask_later", "what", deadline=300.0, sampling=LONG))
    engine.step()
    now[0] = 200.0
    expired = [output for output in engine.step() if output.failed]
    assert {output.ask_id for output in expired} == {"ask_run", "ask_read", "ask_wait"}
    assert all(isinstance(output.failed, Expired) for output in expired)
    assert endings(engine)["ask_later"].finished is not None


def test_nan_logits_fail_alone(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose keys turn to NaN fails; its neighbours answer as if it had not been there."""
    good = asking("ask_good", picture(2), "what", tiles="base", sampling=LONG)
    alone = run(Engine(checkpoint, CONFIG), good)["ask_good"]
    engine = Engine(checkpoint, CONFIG)
    engine.add(asking("ask_bad", picture(1), "what", tiles="base", sampling=LONG))
    engine.add(good)
    tokens = []
    while len(engine.slots.places) < 2:
        tokens += [t for o in engine.step() if o.ask_id == "ask_good" for t in o.tokens]
    place = engine._running["ask_bad"].place
    assert place is not None
    engine.slots.layers_of([place], 1)[0].fill_(torch.nan)
    ended = {}
    while engine.has_work:
        for output in engine.step():
            tokens += output.tokens if output.ask_id == "ask_good" else ()
            if output.ends:
                ended[output.ask_id] = output
    assert isinstance(ended["ask_bad"].failed, MyopiaError)
    assert "not numbers" in str(ended["ask_bad"].failed)
    assert tokens == alone[0]
    # whoever gets the poisoned row's slots next is not poisoned by them
    again = asking("ask_again", picture(2), "what", tiles="base", sampling=LONG)
    assert run(engine, again)["ask_again"][0] == alone[0]


def test_a_policy_that_throws_fails_alone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        if args[3].policy == "h2o":
            raise ZeroDivisionError("a policy's bug")
        return prune(*args)

    import myopia.reading

    prune = myopia.reading.prune_row
    monkeypatch.setattr("myopia.reading.prune_row", broken)
    engine = Engine(checkpoint, CONFIG)
    for policy in ("myopia", "h2o", "snapkv"):
        pruning = Pruning(policy=policy)
        engine.add(asking(f"ask_{policy}", picture(1), "x", tiles="base", pruning=pruning))
    ended = endings(engine)
    assert ended["ask_myopia"].finished is not None
    assert ended["ask_snapkv"].finished is not None
    failed = ended["ask_h2o"].failed
    assert type(failed) is MyopiaError
    assert isinstance(failed.__cause__, ZeroDivisionError)
    assert "bug" not in str(failed), "internals are not for askers"


def test_a_batch_that_throws_goes_on_row_by_row(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [asking(f"ask_{n}", word, sampling=LONG) for n, word in enumerate(["where", "what"])]
    alone = {a.ask_id: run(Engine(checkpoint, CONFIG), a)[a.ask_id][0] for a in asks}
    step = myopia_batch().step

    def failing(self: Any, tokens: Any, positions: Any) -> Any:
        if len(tokens) > 2 or engine._running["ask_bad"].place in self.places:
            raise torch.OutOfMemoryError("no memory for this batch")
        return step(self, tokens, positions)

    engine = Engine(checkpoint, CONFIG)
    for ask in [*asks, asking("ask_bad", "show", sampling=LONG)]:
        engine.add(ask)
    tokens: dict[str, list[int]] = {"ask_0": [], "ask_1": [], "ask_bad": []}
    ended = {}
    for output in engine.step():
        tokens[output.ask_id] += output.tokens
    with monkeypatch.context() as patch:
        patch.setattr("myopia.decode.Batch.step", failing)
        for output in engine.step():
            tokens[output.ask_id] += output.tokens
            if output.ends:
                ended[output.ask_id] = output
    assert list(ended) == ["ask_bad"]
    assert isinstance(ended["ask_bad"].failed, OutOfMemory)
    while engine.has_work:
        for output in engine.step():
            tokens[output.ask_id] += output.tokens
    del tokens["ask_bad"]
    assert tokens == alone


def myopia_batch() -> Any:
    from myopia.decode import Batch

    return Batch


def test_too_large_for_the_slots_fails_at_once_and_others_wait(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, EngineConfig(kv_bytes=3 * 32 * 256 * 5))
    full = Pruning(budget=1)
    engine.add(asking("ask_big", picture(1), "x", tiles="base", pruning=full))
    for number in range(4):
        engine.add(asking(f"ask_{number}", picture(number), "x", tiles="base", sampling=LONG))
    ended: dict[str, Output] = {}
    most = 0
    while engine.has_work:
        for output in engine.step():
            if output.ends:
                ended[output.ask_id] = output
        stats = engine.stats()
        most = max(most, stats.running)
        assert 0 <= stats.free_cells <= stats.cells
    assert isinstance(ended.pop("ask_big").failed, OutOfMemory)
    assert all(output.finished for output in ended.values())
    assert 0 < most < 4, "some had to wait for slots"


def test_smaller_budgets_let_more_asks_in(checkpoint: Checkpoint) -> None:
    def most_running(budget: float) -> int:
        engine = Engine(
            checkpoint, EngineConfig(kv_bytes=1_500_000, most_rows=100, gap_seconds=999)
        )
        for number in range(10):
            engine.add(
                asking(
                    f"ask_{number}",
                    *(picture(k) for k in range(10)),
                    "x",
                    tiles="max",
                    pruning=Pruning(budget=budget),
                    sampling=Sampling(max_tokens=8),
                )
            )
        most = 0
        while engine.has_work:
            engine.step()
            most = max(most, engine.stats().running)
        return most

    few, many = most_running(1.0), most_running(0.2)
    print(f"\nasks in 1.5 MB: {few} at budget 1, {many} at budget 0.2")
    assert few == 2
    assert many >= 4 * few


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"pruning": Pruning(policy="magic")}, "/pruning/policy"),
        ({"sampling": Sampling(max_tokens=0)}, "/generation/max_tokens"),
        ({"sampling": Sampling(top_p=0)}, "/generation/top_p"),
        ({"sampling": Sampling(temperature=float("nan"))}, "/generation/temperature"),
        ({"sampling": Sampling(stop=("",))}, "/generation/stop"),
        ({"sampling": Sampling(logprobs=21)}, "/logprobs"),
        ({"options": ("a", "a")}, "/options"),
        (
            {"options": ("yes", "no colour"), "sampling": Sampling(max_tokens=1)},
            "/generation/max_tokens",
        ),
    ],
)
def test_bad_requests_name_the_field(
    checkpoint: Checkpoint, fields: dict[str, Any], field: str
) -> None:
    engine = Engine(checkpoint, CONFIG)
    engine.add(asking("ask_bad", "what", **fields))
    assert engine.has_work
    (output,) = engine.step()
    assert isinstance(output.failed, BadRequest)
    assert output.failed.field == field
    assert not engine.has_work


def test_other_refusals(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    engine.add(asking("ask_long", *(picture(k) for k in range(700)), "x", tiles="max"))
    engine.add(replace(asking("ask_turn"), turns=(Turn("assistant", ("hm",)),)))
    ended = endings(engine)
    assert isinstance(ended["ask_long"].failed, PromptTooLong)
    assert isinstance(ended["ask_turn"].failed, BadRequest)
    engine.add(asking("ask_twice", "x"))
    with pytest.raises(ValueError, match="already here"):
        engine.add(asking("ask_twice", "x"))
