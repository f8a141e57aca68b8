"""The comparison with the sister checkpoint: the same questions of tasks that both can do."""

import pytest

from bench.quality.grid import FULL, NONE, TEXT
from bench.quality.lines import Line
from bench.quality.sister import PROTOCOLS, compared, plan_of
from pocket import weights_folder


def lines(dataset: str, full: float, pruned: float, count: int = 12) -> list[Line]:
    """`count` questions; the whole cache and a pruning are right on these shares of them."""

    def right(number: int, share: float) -> list[float]:
        return [float(number < share * count), 0.1, 1.0]

    return [
        Line(
            dataset=dataset,
            number=number,
            images=4,
            place=0,
            protocol=protocol,
            full_answer="x",
            rows={
                FULL: right(number, full),
                "myopia@0.2": right(number, pruned),
                NONE: [0.0, 3.0, 0.0],
                TEXT: [0.0, 3.0, 0.0],
            },
        )
        for protocol in PROTOCOLS
        for number in range(count)
    ]


def test_losses_are_each_models_own_on_the_same_questions() -> None:
    pocket = [*lines("GPR1200", 1.0, 1.0), *lines("OCR-VQA", 1.0, 0.5)]
    sister = [*lines("GPR1200", 0.75, 0.75), *lines("OCR-VQA", 0.5, 0.25)]
    found = compared(pocket, sister)
    assert found["questions"] == 24
    overall = found["protocols"]["question"]["overall"]
    assert overall["pocket"]["myopia@0.2"]["loss"] == -25
    assert overall["sister"]["myopia@0.2"]["loss"] == -12.5
    assert found["protocols"]["blind"]["tasks"]["digit"]["myopia@0.2"]["sister"][0] == 25


def test_what_the_sister_cannot_do_says_nothing() -> None:
    pocket = [*lines("GPR1200", 1.0, 1.0), *lines("nuscenes", 1.0, 0.0)]
    sister = [*lines("GPR1200", 1.0, 1.0), *lines("nuscenes", 0.25, 0.0)]
    found = compared(pocket, sister)
    assert list(found["protocols"]["question"]["tasks"]) == ["find"]
    assert found["questions"] == 12
    with pytest.raises(ValueError, match="both the pocket and its sister"):
        compared(lines("nuscenes", 1.0, 0.0), lines("nuscenes", 0.25, 0.0))


def test_only_questions_that_both_answered_count() -> None:
    found = compared(lines("GPR1200", 1.0, 1.0, 12), lines("GPR1200", 1.0, 1.0, 8))
    assert found["questions"] == 8


def test_the_plan_asks_what_the_card_offers() -> None:
    plan = plan_of(str(weights_folder()), 5)
    assert {"GPR1200", "IEdit", "StateChange"} <= set(plan.datasets)
    assert "CharacterOrder" not in plan.datasets
    assert {v.name for v in plan.variants} >= {"myopia@0.2", "random@0.05", "snapkv@0.1"}
