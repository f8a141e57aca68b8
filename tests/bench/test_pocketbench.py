"""The drawn datasets: read and scored by MileBench's loader, with true answers and true views."""

from pathlib import Path

import numpy as np
import pytest

from bench.milebench.catalog import TASK_OF, TASKS
from bench.milebench.prompts import question_text
from bench.milebench.samples import load
from bench.milebench.scoring import score
from bench.pocketbench import sequences
from bench.pocketbench.drawer import COLOURS, GROUNDS, PAINTS, Figure, View, draw
from bench.pocketbench.outlines import SHAPES, polygon
from bench.pocketbench.stories import Question
from bench.pocketbench.writing import DRAWN, make, write_dataset


def test_every_task_code_has_a_drawn_counterpart() -> None:
    assert {TASK_OF[name] for name in DRAWN} == set(TASKS)


@pytest.mark.parametrize("dataset", list(DRAWN))
def test_what_is_written_is_read_and_the_right_answer_scores(dataset: str, tmp_path: Path) -> None:
    samples = load(write_dataset(tmp_path, dataset, 2, [2, 4]))
    assert len(samples) == 4
    for sample in samples:
        assert sample.image_count in {2, 4}
        assert all(path.exists() for path in sample.images)
        assert question_text(sample).count("<ImageHere>") == sample.image_count
        assert sample.depth is not None
        assert score(sample, sample.response) == pytest.approx(1)
        wrong = next((c for c in sample.choices if c != sample.response), "zebra")
        assert score(sample, wrong) == 0


@pytest.mark.parametrize("dataset", list(DRAWN))
@pytest.mark.parametrize("images", [2, 3, 32])
def test_questions_of_any_size(dataset: str, images: int) -> None:
    for number in range(images, images + 3):
        question = make(dataset, number, images)
        assert len(question.views) == images
        assert not question.choices or question.response in question.choices
        assert len(set(question.choices)) == len(question.choices)
        assert question.evidence
        assert all(0 <= place < images for place in question.evidence)
        assert question == make(dataset, number, images)
        assert question != make(dataset, number, images, seed=1)


def contents(view: View) -> set[tuple[str, str]]:
    return {(figure.kind, figure.colour) for figure in view.figures}


def asked(dataset: str, images: int = 6) -> list[Question]:
    return [make(dataset, number, images) for number in range(30)]


def test_retrieval_has_one_answer_and_rivals_on_both_attributes() -> None:
    for question in asked("GPR1200"):
        place = int(question.response) - 1
        ((shape, colour),) = contents(question.views[place])
        assert question.text == f"Which image shows a {colour} {shape}?"
        showing = [k for k, view in enumerate(question.views) if (shape, colour) in contents(view)]
        assert showing == [place]
        rivals = set().union(*(contents(view) for view in question.views)) - {(shape, colour)}
        assert any(kind == shape for kind, _ in rivals)
        assert any(paint == colour for _, paint in rivals)


def test_attributes_are_read_off_the_evidence() -> None:
    for question in asked("MovingAttribute"):
        (place,) = question.evidence
        shape = question.text.split(" the ")[1].split(" in ")[0]
        assert {c for k, c in contents(question.views[place]) if k == shape} == {question.response}
    for question in asked("OCR-VQA"):
        digits = [k for k, _ in contents(question.views[question.evidence[0]]) if k.isdigit()]
        assert digits == [question.response]


def test_the_image_needle_is_the_only_digit() -> None:
    for question in asked("ImageNeedleInAHaystack"):
        digits = [k for view in question.views for k, _ in contents(view) if k.isdigit()]
        assert digits == [question.response]


def test_counts_and_existence_are_true() -> None:
    for question in asked("nuscenes"):
        shape = question.text.split(" a ")[1].rstrip("?")
        showing = [k for k, v in enumerate(question.views) if shape in {s for s, _ in contents(v)}]
        assert (str(len(showing)), tuple(showing)) == (question.response, question.evidence)
    for question in asked("ObjectExistence"):
        shape = question.text.split(" a ")[1].split(" in ")[0]
        there = shape in {kind for kind, _ in contents(question.views[question.evidence[0]])}
        assert question.response == ("yes" if there else "no")


def test_movement_goes_the_way_that_is_answered() -> None:
    for dataset in ("ActionSequence", "MovingDirection", "EgocentricNavigation"):
        for question in asked(dataset):
            first, last = (question.views[question.evidence[k]].figures[0] for k in (0, -1))
            dx, dy = sequences.DIRECTIONS[question.response]
            assert (last.x - first.x) * dx + (last.y - first.y) * dy > 0.2
            assert (first.kind, first.colour) == (last.kind, last.colour)


def test_exactly_the_named_property_changes() -> None:
    for question in asked("StateChange"):
        before, after = (question.views[k].figures for k in question.evidence)
        changed = {
            "shape": before[0].kind != after[0].kind,
            "colour": before[0].colour != after[0].colour,
            "position": (before[0].x, before[0].y) != (after[0].x, after[0].y),
            "digit": before[1].kind != after[1].kind,
        }
        assert [name for name, moved in changed.items() if moved] == (
            [] if question.response == "nothing" else [question.response]
        )


def test_the_note_that_answers_stands_where_the_evidence_is() -> None:
    for question in asked("TextNeedleInAHaystack"):
        name = question.text.removeprefix("What is the value of ").rstrip("?")
        assert question.between[question.evidence[0]] == f"Note: {name} is {question.response}."
        assert sum(f" {name} " in text for text in question.between) == 1


@pytest.mark.parametrize("kind", [*SHAPES, *"0123456789"])
def test_figures_stay_in_their_box_and_show(kind: str) -> None:
    corners = [] if kind.isdigit() else polygon(kind)
    assert all(abs(v) <= 1.01 for point in corners for v in point)
    empty = np.asarray(draw(View((), 64, 64, seed=3)), dtype=int)
    for colour in COLOURS:
        shown = np.asarray(
            draw(View((Figure(kind, colour, 0.5, 0.5, 0.5),), 64, 64, seed=3)), dtype=int
        )
        there = np.abs(shown - np.array(PAINTS[colour])).max(-1) < 12
        assert there.sum() > 60
        assert (np.abs(empty - np.array(PAINTS[colour])).max(-1) < 40).sum() == 0


def test_drawing_is_repeatable_and_grounds_differ() -> None:
    pictures = [draw(View((), ground=ground, seed=1)).tobytes() for ground in GROUNDS]
    assert len(set(pictures)) == len(GROUNDS)
    assert pictures[0] == draw(View((), ground=GROUNDS[0], seed=1)).tobytes()
    with pytest.raises(ValueError, match="no such ground"):
        draw(View((), ground="marble"))
    with pytest.raises(ValueError, match="no such shape"):
        polygon("blob")


def test_no_question_gives_its_answer_away() -> None:
    """A guesser that reads the text only is near chance over places and directions."""
    places = [make("GPR1200", n, 6).response for n in range(60)]
    assert {places.count(str(k)) for k in range(1, 7)} == {10}
    answers = [make("MovingDirection", n, 6).response for n in range(200)]
    assert min(answers.count(way) for way in sequences.DIRECTIONS) > 30
