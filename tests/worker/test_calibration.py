"""Budget `auto`: which cell of a calibration speaks, what is refused, and how files are checked."""

from pathlib import Path
from typing import Any

import pytest

from myopia.errors import BadRequest, Unsupported
from myopia.revision import revision_of
from tests.wire.asks import make_ask
from tests.worker.calibrations import CELLS, table, write
from tests.worker.conftest import StartWorker
from tests.worker.processes import wait_for
from tests.worker.test_process import ending, has_ended, put
from wire.answers import answer_key
from wire.ledger import Ledger
from wire.messages import Ask, Done, Failed, ImagePart, TextPart, Turn
from wire.pruning import Pruning
from wire.queue import Queue
from wire.store import Store
from worker.calibration import Calibration, Table, kind_of, read_calibration, settle
from worker.engines import calibration_of
from worker.settings import WorkerSettings

CALIBRATION = Calibration(Table.model_validate(table()), "0" * 8)


def ask(images: int, *, options: tuple[str, ...] = ("1", "2"), **fields: Any) -> Ask:
    pictures = [ImagePart(digest=f"{k:064x}", index=k) for k in range(images)]
    parts = (*pictures, TextPart(text="Which?"))
    pruning = {"budget": "auto", **fields}
    turns = (Turn(role="user", parts=parts),)
    return make_ask(turns=turns, options=options, pruning=pruning)


@pytest.mark.parametrize(
    ("images", "target", "budget"),
    [
        (1, 0.95, 0.1),  # the next larger number of pictures speaks
        (2, 0.95, 0.1),
        (2, 0.98, 0.2),
        (2, 0.9, 0.05),
        (3, 0.95, 0.2),  # .05 reached it as well, but .1 did not: luck
        (6, 0.999, 0.4),
        (7, 0.5, 1.0),  # more pictures than were measured
    ],
)
def test_the_smallest_budget_that_agrees(images: int, target: float, budget: float) -> None:
    settled, choice = settle(ask(images, target_agreement=target), CALIBRATION)
    assert choice is not None
    assert settled.pruning.budget == choice.budget == budget
    assert choice.target_agreement == target
    assert choice.why
    if budget < 1:
        assert choice.agreement is not None
        assert choice.agreement >= target
        assert choice.questions == 40


def test_where_nothing_is_enough_nothing_is_pruned() -> None:
    settled, choice = settle(ask(6, options=(), target_agreement=0.99), CALIBRATION)
    assert choice is not None
    assert (settled.pruning.budget, choice.kind) == (1.0, "open")
    assert "none smaller" in choice.why


def test_a_kind_that_was_not_measured_is_taken_for_the_hardest() -> None:
    parts = (
        ImagePart(digest="0" * 64, index=0),
        TextPart(text="Note: amber is 7."),
        ImagePart(digest="1" * 64, index=1),
        TextPart(text="Which?"),
    )
    asked = ask(1).model_copy(update={"turns": (Turn(role="user", parts=parts),)})
    assert kind_of(asked) == "choice, text between"
    _, choice = settle(asked, CALIBRATION)
    assert choice is not None
    assert (choice.budget, choice.images) == (0.1, 2)  # the one kind measured over two pictures
    assert "not measured" in choice.why
    asked = ask(3).model_copy(
        update={"turns": (*ask(3).turns, Turn(role="user", parts=(TextPart(text="And?"),)))}
    )
    assert kind_of(asked) == "choice, later turn"
    _, choice = settle(asked, CALIBRATION)
    assert choice is not None
    assert (choice.budget, choice.kind) == (0.4, "open")


def test_a_number_stays_and_needs_no_calibration() -> None:
    asked = make_ask(pruning={"budget": 0.3})
    assert settle(asked, None) == (asked, None)


def test_without_a_calibration_auto_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadRequest, match=r"give a number, or .* bench\.calibrate") as caught:
        settle(ask(2), None)
    assert caught.value.field == "/pruning/budget"


def test_other_knobs_than_the_calibrated_are_refused_by_name() -> None:
    for knob, value in {"policy": "h2o", "gamma": 2.0, "bin_mode": "off"}.items():
        with pytest.raises(BadRequest) as caught:
            settle(ask(2, **{knob: value}), CALIBRATION)
        assert caught.value.field == f"/pruning/{knob}"


def test_a_file_for_other_weights_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "calibration.json")
    assert read_calibration(path, ["r1"]).table.cells[0].agreement[0.05] == 0.9
    with pytest.raises(Unsupported, match="measured on weights r1, these are r2"):
        read_calibration(path, ["r2"])
    for wrong in ({"cells": []}, {"format": 2}, {"more": 1}):
        with pytest.raises(Unsupported, match=r"no calibration \("):
            read_calibration(write(path, **wrong), ["r1"])
    path.write_text("{")
    with pytest.raises(Unsupported, match="no calibration"):
        read_calibration(path, ["r1"])


def test_the_setting_goes_before_the_file_beside_the_weights(tmp_path: Path) -> None:
    assert calibration_of(WorkerSettings(), tmp_path, "r1") is None
    beside = write(tmp_path / "calibration.json")
    found = calibration_of(WorkerSettings(), tmp_path, "r1")
    assert found is not None
    other = write(tmp_path / "other.json", cells=CELLS[:1])
    named = calibration_of(WorkerSettings(calibration=str(other)), tmp_path, "r1")
    assert named is not None
    assert named.digest != found.digest
    beside.unlink()
    with pytest.raises(Unsupported, match="no such file"):
        calibration_of(WorkerSettings(calibration=str(tmp_path / "gone")), tmp_path, "r1")


def test_a_calibration_beside_the_weights_does_not_rename_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = revision_of(tmp_path)
    write(tmp_path / "calibration.json")
    assert revision_of(tmp_path) == before
    (tmp_path / "tokenizer.json").write_text("{}")
    assert revision_of(tmp_path) != before


def test_the_target_is_part_of_what_an_answer_is_stored_under() -> None:
    one, other = ask(2, target_agreement=0.9), ask(2, target_agreement=0.95)
    keys = {answer_key(each, model="m", revision="r") for each in (one, other)}
    keys.add(answer_key(other, model="m", revision="r.12345678"))
    assert len(keys) == 3


def test_a_worker_without_a_calibration_fails_the_ask_and_goes_on(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    asked = make_ask("steps=2", pruning={"budget": "auto"})
    ledger.submit(asked)
    queue.send(asked.ask_id)
    start_worker()
    wait_for(lambda: has_ended(ledger, asked))
    failed = ending(store, asked)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.field) == ("bad_request", "/pruning/budget")
    number = put(ledger, queue, "steps=2")
    wait_for(lambda: has_ended(ledger, number))
    assert isinstance(ending(store, number), Done)


@pytest.mark.slow
def test_a_worker_refuses_to_start_with_a_calibration_of_other_weights(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(module="worker", MYOPIA_CALIBRATION=write(tmp_path / "table.json"))
    assert worker.wait() == 2
    assert worker.said("was measured on weights r1")


@pytest.mark.parametrize("budget", ["much", 0, 1.5, -1, "0.2x"])
def test_what_is_no_budget_is_refused(budget: object) -> None:
    with pytest.raises(ValueError, match="budget"):
        Pruning(budget=budget)  # type: ignore[arg-type]


def test_a_target_without_auto_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"target_agreement\n.*Only budget `auto`"):
        Pruning(budget=0.2, target_agreement=0.9)
    assert Pruning(budget="auto", target_agreement=0.9).target_agreement == 0.9
