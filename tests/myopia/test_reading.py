"""Prompts that are read together: as each alone, in few calls, and nobody pays for another."""

from pathlib import Path
from typing import Any

import pytest
import torch

import myopia.reading
from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Picture, Pruning, Request, Sampling
from myopia.prefill import Piece
from myopia.report import Finished
from myopia.workspace import Workspace
from tests.myopia.engine_runs import CONFIG, MIB, asking, picture, run

Answers = dict[str, tuple[list[int], Finished]]


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[Piece]]:
    """The pieces of every call of the language model while prompts are read."""
    made: list[list[Piece]] = []
    read = myopia.reading.read_pieces

    def note(checkpoint: Checkpoint, pieces: list[Piece]) -> Any:
        made.append(list(pieces))
        return read(checkpoint, pieces)

    monkeypatch.setattr(myopia.reading, "read_pieces", note)
    return made


def mixed() -> list[Request]:
    """Short and long prompts, with pictures, without, seen before, pruned before the question."""
    sampling = Sampling(max_tokens=3, logprobs=1)
    seen = [picture(1), picture(2)]
    return [
        asking("ask_text", "which star is the one", sampling=sampling),
        asking("ask_two", *seen, "what", sampling=sampling, tiles="base"),
        asking("ask_again", *seen, "describe it", sampling=sampling, tiles="base"),
        asking("ask_wise", *seen, "what colour", sampling=sampling, tiles="base",
               pruning=Pruning(policy="snapkv", head_mode="wise"), reuse="none"),
        asking("ask_small", *seen, "what", sampling=sampling, tiles="base", reuse="compressed"),
        asking("ask_full", picture(3), "where", sampling=sampling, pruning=Pruning(budget=1)),
        asking("ask_long", *(picture(10 + k) for k in range(5)), "where does it move",
               sampling=sampling, tiles="max"),
        asking("ask_last", "what is this ", picture(4), sampling=sampling, tiles="base"),
    ]  # fmt: skip


def assert_same(one: Answers, other: Answers) -> None:
    assert one.keys() == other.keys()
    for ask_id, (tokens, finished) in one.items():
        assert tokens == other[ask_id][0], ask_id
        told = other[ask_id][1].logprobs or ()
        for mine, theirs in zip(finished.logprobs or (), told, strict=True):
            assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)


def test_together_is_as_alone_and_takes_fewer_calls(
    checkpoint: Checkpoint, calls: list[list[Piece]]
) -> None:
    alone: Answers = {}
    for request in mixed():
        alone |= run(Engine(checkpoint, CONFIG), request)
    assert all(len(pieces) == 1 for pieces in calls)
    many = len(calls)
    calls.clear()
    config = EngineConfig(kv_bytes=16 * MIB, gap_seconds=30)
    assert_same(run(Engine(checkpoint, config), *mixed()), alone)
    assert max(len(pieces) for pieces in calls) >= 3
    assert len(calls) < many
    for pieces in calls:
        assert sum(piece.tokens for piece in pieces) <= config.piece_tokens


def test_pieces_end_where_they_end_alone(checkpoint: Checkpoint, calls: list[list[Piece]]) -> None:
    def ends() -> set[tuple[Any, ...]]:
        found = {(piece.prompt.ids, piece.start, piece.stop) for one in calls for piece in one}
        calls.clear()
        return found

    config = EngineConfig(kv_bytes=16 * MIB, piece_tokens=64, gap_seconds=30, prefix_bytes=0)
    asks = [ask for ask in mixed() if ask.reuse != "compressed"]
    for ask in asks:
        run(Engine(checkpoint, config), ask)
    alone = ends()
    run(Engine(checkpoint, config), *asks)
    assert ends() == alone


@pytest.mark.parametrize("where", ["observer", "model", "pictures"])
def test_who_goes_wrong_goes_wrong_alone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whatever throws while several are read: the others answer as if they had been alone."""
    sampling = Sampling(max_tokens=3)
    bad = picture(66)
    asks = [
        asking("ask_a", picture(1), "what", tiles="base", sampling=sampling),
        asking("ask_bad", bad, "what", tiles="base", sampling=sampling,
               pruning=Pruning(policy="h2o")),
        asking("ask_b", picture(2), "where", tiles="base", sampling=sampling),
    ]  # fmt: skip
    alone = {a.ask_id: run(Engine(checkpoint, CONFIG), a)[a.ask_id][0] for a in asks}
    engine = Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB, gap_seconds=30))
    if where == "observer":
        from myopia.observer import Observer

        see = Observer.see

        def broken(self: Observer, layer: int, *args: Any) -> None:
            if self.pruning.policy == "h2o" and layer == 1:
                raise ZeroDivisionError
            see(self, layer, *args)

        monkeypatch.setattr(Observer, "see", broken)
    elif where == "model":
        read = myopia.reading.read_pieces

        def fails(checkpoint: Checkpoint, pieces: list[Piece]) -> Any:
            if any(piece.observer.pruning.policy == "h2o" for piece in pieces if piece.observer):
                raise torch.OutOfMemoryError("no memory for this piece")
            return read(checkpoint, pieces)

        monkeypatch.setattr(myopia.reading, "read_pieces", fails)
    else:
        look = engine.vision.look

        def blind(pictures: list[Picture], tiles: Any) -> Any:
            if any(one.digest == bad.digest for one in pictures):
                raise RuntimeError("a picture that the tower cannot see")
            return look(pictures, tiles)

        monkeypatch.setattr(engine.vision, "look", blind)
    tokens: dict[str, list[int]] = {ask.ask_id: [] for ask in asks}
    for ask in asks:
        engine.add(ask)
    failed = []
    while engine.has_work:
        for output in engine.step():
            tokens[output.ask_id] += output.tokens
            failed += [output.ask_id] if output.failed else []
    assert failed == ["ask_bad"]
    assert tokens == {**alone, "ask_bad": []}
    assert engine.reader.workspace.held == 0
    assert engine.slots.extents.held == {}


def test_one_picture_in_two_asks_is_looked_at_once(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB, gap_seconds=30, feature_bytes=0))
    look, seen = engine.vision.look, []

    def note(pictures: list[Picture], tiles: Any) -> Any:
        seen.append([one.digest for one in pictures])
        return look(pictures, tiles)

    monkeypatch.setattr(engine.vision, "look", note)
    few = {"sampling": Sampling(max_tokens=1), "tiles": "base"}
    run(
        engine,
        asking("ask_1", picture(1), picture(2), "what", **few),
        asking("ask_2", picture(2), picture(3), "what", **few),
    )
    assert [sorted(one) for one in seen] == [sorted(picture(n).digest for n in (1, 2, 3))]


def test_the_workspace_is_as_long_as_it_must_be(checkpoint: Checkpoint) -> None:
    work = Workspace(checkpoint, 100)
    first, second = work.take(60), work.take(40)
    assert work.held == 100
    assert not work.has_room(1)
    with pytest.raises(ValueError, match="no room"):
        work.take(1)
    first.keys.fill_(1)
    second.keys.fill_(2)
    assert bool((first.keys == 1).all())
    work.give(first)
    assert work.has_room(60)
    assert not work.has_room(61)
    work.give(second)
    assert work.has_room(10_000)  # a long prompt gets a block of its own
    assert work.take(300).keys.shape[2] == 300
    assert work.held == 300
