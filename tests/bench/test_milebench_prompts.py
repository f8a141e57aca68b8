"""Prompt building and left truncation, at the edges where off-by-one lives."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.milebench.prompts import (
    HERE,
    Limits,
    Prompt,
    Words,
    build,
    llama_2_template,
    mistral_template,
    question_text,
    spread_pairs,
)
from bench.milebench.samples import Sample


def sample(context: str, images: int = 2, **more: object) -> Sample:
    fields: dict[str, object] = {
        "dataset": "TQA",
        "sample_id": 0,
        "instruction": "Look.",
        "context": context,
        "images": tuple(Path(f"{k}.png") for k in range(images)),
        "image_count": images,
        "choices": (),
        "response": "a",
        "question_type": "multi-choice",
    }
    return Sample(**{**fields, **more})  # type: ignore[arg-type]


def limits(tokens: int, image: int = 10) -> Limits:
    return Limits(tokens, lambda _: image)


def names(prompt: Prompt) -> list[str]:
    return [path.name for path in prompt.images]


def test_choices_get_letters() -> None:
    text = question_text(sample("{image#1} what?", choices=("red", "blue")))
    assert text == f"{HERE} what?\nChoice list: \nA. red\nB. blue\nYour answer is: "


def test_retrieval_has_no_letters() -> None:
    text = question_text(sample("which?", choices=("x", "y"), dataset="GPR1200"))
    assert text.endswith("\nChoice list: \nx\ny\nYour answer is: ")


def test_images_and_tables_become_one_placeholder() -> None:
    assert question_text(sample("a {table#2} b {image#1}")) == f"a {HERE} b {HERE}"


def test_eleven_is_not_one() -> None:
    text = question_text(sample("{image#11}{image#1}", images=11))
    assert text == HERE + HERE


def test_combined_numbers_its_images_and_puts_one_picture_in_front() -> None:
    combined = sample(
        "{image#1}{image#2} why?", images=1, image_count=2, combined=1, instruction="Do."
    )
    prompt = build(combined, Words(), limits(100))
    assert prompt.text == f"{HERE}\nDo.\n<Image 1> <Image 2>  why?"
    assert len(prompt.images) == 1


def test_combined_text_is_cut_from_the_left_without_counting_the_picture() -> None:
    combined = sample("a b c d", images=1, combined=1)
    assert build(combined, Words(), limits(4, image=1000)).text == f"{HERE}\nLook.\n d"[:-2] + "c d"


def test_everything_that_fits_is_kept() -> None:
    prompt = build(sample("a {image#1} b {image#2} c"), Words(), limits(1000))
    assert prompt.text == f"Look.\na {HERE} b {HERE} c"
    assert names(prompt) == ["0.png", "1.png"]
    assert prompt.dropped_images == 0


def test_exactly_fits_and_one_over() -> None:
    # From the end: " c" 2, image 10, " b " 3, image 10, "a " 2 = 27, and 1 for the instruction.
    context = "a {image#1} b {image#2} c"
    assert build(sample(context), Words(), limits(28)).text == f"Look.\na {HERE} b {HERE} c"
    # One over: the walk ends right after a picture, so one more placeholder stands in front.
    over = build(sample(context), Words(), limits(27))
    assert over.text == f"Look.\n{HERE} b {HERE} c"
    assert names(over) == ["0.png", "1.png"]


def test_a_picture_that_does_not_fit_ends_the_walk() -> None:
    prompt = build(sample("a {image#1} b {image#2} c"), Words(), limits(1 + 2 + 10 + 3 + 9))
    assert prompt.text == f"Look.\n b {HERE} c"
    assert names(prompt) == ["1.png"]
    assert prompt.dropped_images == 1


def test_the_end_of_the_question_survives_any_budget() -> None:
    prompt = build(sample("{image#1} one two three"), Words(), limits(1 + 3))
    assert prompt.text == "Look.\ntwo three"
    assert prompt.images == ()


def test_a_budget_of_zero_keeps_the_last_fragment_whole() -> None:
    assert build(sample("{image#1} one two"), Words(), limits(1)).text == "Look.\n one two"


def test_more_pictures_than_placeholders_gives_one_in_front() -> None:
    prompt = build(sample("a {image#1} b", images=3), Words(), limits(1000))
    assert prompt.text == f"Look.\n{HERE}a {HERE} b"
    assert names(prompt) == ["1.png", "2.png"]


def test_the_fit_of_a_picture_is_tested_even_when_none_is_left() -> None:
    # Both placeholders name image 1; the official walk stops where one more would not fit.
    prompt = build(
        sample("a {image#1} b {image#1} c", images=1), Words(), limits(1 + 2 + 10 + 3 + 9)
    )
    assert prompt.text == f"Look.\n b {HERE} c"
    assert names(prompt) == ["0.png"]


def test_sizes_may_differ_by_picture() -> None:
    sizes = {"0.png": 50, "1.png": 5}
    prompt = build(
        sample("a {image#1} b {image#2} c"), Words(), Limits(40, lambda path: sizes[path.name])
    )
    assert names(prompt) == ["1.png"]


def test_parts_pair_pictures_with_the_last_placeholders() -> None:
    one, two = Path("1"), Path("2")
    assert Prompt(f"x{HERE}y{HERE}z", (one, two), 0).parts() == ["x", one, "y", two, "z"]
    assert Prompt(f"x{HERE}y{HERE}z", (two,), 0).parts() == ["x", "y", two, "z"]
    assert Prompt(f"y{HERE}z", (one, two), 0).parts() == [one, "y", two, "z"]
    assert Prompt("z", (), 0).parts() == ["z"]


def test_change_captioning_pairs_get_their_own_lines() -> None:
    assert spread_pairs(f"{HERE}{HERE} differ?") == f"{HERE}\n{HERE}\n differ?"


def test_templates() -> None:
    assert mistral_template("q") == "[INST] q [/INST]"
    assert llama_2_template("q").startswith("[INST] <<SYS>>\nYou are a helpful language and vision")
    assert llama_2_template("q").endswith("language.\n<</SYS>>\n\nq [/INST]")


@given(
    st.lists(
        st.sampled_from(["a ", "bb", " c d ", "{image#1}", "{image#2}", "{image#3}"]), max_size=9
    ),
    st.integers(2, 60),
)
def test_no_prompt_exceeds_its_limit(pieces: list[str], tokens: int) -> None:
    words = Words()
    whole = sample("".join(pieces), images=3)
    prompt = build(whole, words, limits(tokens))
    text = prompt.text.split("\n", 1)[1].replace(HERE, "")
    assert len(words.encode("Look.")) + len(words.encode(text)) + 10 * len(prompt.images) <= tokens
    assert whole.images[len(whole.images) - len(prompt.images) :] == prompt.images


@pytest.mark.parametrize("text", ["a b", "  two  spaces\n\n", "", "x\ty"])
def test_words_come_back(text: str) -> None:
    words = Words()
    assert words.decode(words.encode(text)) == text
