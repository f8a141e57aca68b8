"""Golden cases for every branch of the scorer, and ROUGE-L against the package it names."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.milebench.matching import letter, match_choice, process
from bench.milebench.rouge import rouge_l
from bench.milebench.samples import BadDataset, Sample
from bench.milebench.scoring import rule_of, score


def asked(dataset: str, response: str, *choices: str, kind: str = "multi-choice") -> Sample:
    return Sample(dataset, 0, "", "", (Path("a"),), 1, choices, response, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  A Cat\n", "a cat"),
        ("a\tb", "a b"),
        ("one/two", "one two"),  # touches no space: becomes one
        ("one/ two", "one two"),  # touches a space: deleted
        ("one/ two/three", "one twothree"),  # ... everywhere in the text
        ("a-b 1,000", "ab 1000"),  # comma between digits: every mark is deleted
        ("1, 000", "1 000"),
        ("x,y", "x y"),
        ("yes.", "yes"),
        ("3.5", "3.5"),  # a digit follows
        ("3.", "3"),
        ("a. b.c", "a bc"),
        ("'quoted'", "quoted"),
        ("don't", "don't"),
        ('"said"', "said"),
        ("what?!", "what"),
        ("(b) red", "b red"),
        ("a_b", "a b"),
        ("<x>", "x"),
        ("", ""),
    ],
)
def test_process(text: str, wanted: Any) -> None:
    assert process(text) == wanted


def test_only_32_periods_are_removed() -> None:
    assert process("a." * 40) == "a" * 32 + "a." * 8


def test_letters_go_on_after_z() -> None:
    assert [letter(i) for i in (0, 25, 26, 51, 52, 77)] == ["A", "Z", "AA", "AZ", "BA", "BZ"]


@pytest.mark.parametrize(
    ("answer", "choices", "wanted"),
    [
        ("", ["x", "y"], "C"),  # sic
        ("b red", ["blue", "red"], "B"),  # letter and choice
        ("i say b red", ["blue", "red"], "B"),
        ("it is red", ["blue", "red"], "B"),  # choice alone
        ("ahotdog", ["cat", "hot dog"], "B"),  # spaces are not compared
        ("catfish", ["cat", "catfish"], "A"),  # list order decides between prefixes
        ("catfish", ["catfish", "cat"], "A"),
        ("red then blue", ["blue", "red"], "B"),  # the first place in the answer decides
        ("b", ["x", "y"], "B"),  # letter alone
        ("no idea", ["left", "right", "up", "down"], "DA"),  # letters found in the answer
        ("hmm", ["left", "right"], ""),
        ("twice", ["same", "same", "twice"], "C"),
        ("same", ["x", "same", "same"], "B"),  # the first of equal choices
        ("3.5", ["1.5", "3.5"], ""),  # found, but compared with its escaped form
        ("b 3.5", ["1.5", "3.5"], "B"),  # with its letter it is found
        ("ab", [f"w{i}w" for i in range(30)], "AB"),  # two letters
    ],
)
def test_match_choice(answer: str, choices: list[str], wanted: Any) -> None:
    assert match_choice(answer, choices) == wanted


def test_a_double_letter_is_never_returned_by_letter_and_choice() -> None:
    choices = [f"bird{i}q" for i in range(30)]
    assert match_choice("ab bird27q", choices) == "A"  # AA bird26 and on give one character
    assert match_choice("bird27q", choices) == "AB"


@pytest.mark.parametrize(
    ("sample", "rule"),
    [
        (asked("TextNeedleInAHaystack", "1", kind="open-ended"), "needle"),
        (asked("ImageNeedleInAHaystack", "1"), "needle"),
        (asked("MMCoQA", "1", kind="open-ended"), "contains"),
        (asked("ALFRED", "1", kind="open-ended"), "rouge-l"),
        (asked("GPR1200", "1"), "choice"),
    ],
)
def test_rules(sample: Any, rule: str) -> None:
    assert rule_of(sample) == rule


def test_needle_wants_the_whole_word() -> None:
    needle = asked("TextNeedleInAHaystack", "12345")
    assert score(needle, "The password is 12345.") == 1
    assert score(needle, "123456") == 0


def test_dialogue_wants_a_substring() -> None:
    dialogue = asked("MMCoQA", "New York")
    assert score(dialogue, "in new yorkshire") == 1
    assert score(dialogue, "york") == 0


def test_open_ended_is_rouge_and_nothing_said_is_zero() -> None:
    caption = asked("IEdit", "make the sky red", kind="open-ended")
    assert score(caption, "make the sky red") == pytest.approx(1)
    assert score(caption, "make it red") == pytest.approx(
        2 * (2 / 3) * 0.5 / (2 / 3 + 0.5), abs=1e-6
    )
    assert score(caption, "") == 0
    assert score(caption, "." * 40) == 0  # eight periods survive `process`


def test_choice() -> None:
    question = asked("TQA", "Red", "Blue", "Red")
    assert score(question, "B. Red") == 1
    assert score(question, "blue") == 0
    with pytest.raises(BadDataset, match="not in choice_list"):
        score(asked("TQA", "green", "Blue", "Red"), "x")


WORDS = st.lists(st.sampled_from([*"abcde", ".", ".", " ", "aa"]), min_size=1, max_size=25)
OFFICIAL = pytest.importorskip("rouge", reason="pip install rouge==1.0.1")


@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS)
def test_rouge_equals_the_package(said: Any, wanted: Any) -> None:
    hypothesis, reference = " ".join(said), " ".join(wanted)
    try:
        theirs = OFFICIAL.Rouge(metrics=["rouge-l"]).get_scores(hypothesis, reference)
    except ValueError:
        with pytest.raises(ValueError, match="sentence"):
            rouge_l(hypothesis, reference)
        return
    assert rouge_l(hypothesis, reference) == theirs[0]["rouge-l"]["f"]


def test_rouge_counts_words_once() -> None:
    assert rouge_l("a a a b", "a b") == pytest.approx(1)
    assert rouge_l("b a", "a b") == pytest.approx(0.5)
