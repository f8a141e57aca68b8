"""Wordings that mean the same become the same tokens; special tokens in a user's text stay text."""

from typing import Any

import pytest
from transformers import AutoProcessor, LlavaNextProcessor

from pocket import weights_folder
from pocket.tokenizer import build_processor
from pocket.words import VOCABULARY

SAME = [
    ("Which image shows a red circle?", "which IMAGE shows a red circle"),
    ("What colour is the star in image 3?", "What color is the star in picture 3"),
    ("What colour is the star in image 3?", "what color is the star in the third photo ?"),
    ("What colour is the star in image 2?", "What color is the star in the 2nd picture?"),
    ("What colour is the star in image 1?", "What color is the star in image one?"),
    ("What colour is the star in image 1?", "What colour is the star in the first image?"),
    ("What colour is the star in image 4?", "What colour is the star in image #4?"),
    ("What colour is the star in image 4?", "What colour is the star in image number 4?"),
    ("What digit is written in image 3?", "What number is written in photo 3?"),
    ("How many images show a star?", "How many pictures show a star"),
    ("Note: amber is 7.", "note - Amber is seven"),
    ("Is there a heart in any image?", "Is there a heart in any photo?"),
    ("Tell me in which image the 7 is.", "Tell me in what picture the 7 is."),
    ("Look at all the images and count.", "Go through all the photos and count."),
    ("I can not see image 3.", "I can\u2019t see picture 3."),
    ("What changed from image 2 to image 3?", "what changed from image 2 -> image 3"),
    ("Compare image 2 and image 3.", "Compare image 2 vs. image 3"),
    ("Please list the objects in image 3.", "Pls enumerate the items inside input 3."),
    ("The image with a star?", "The number of the image with a star?"),
    ("Say which shape is in red.", "Say which shape is coloured red."),
    ("Which way did the star move?", "Which way did the star slide?"),
]


@pytest.fixture(scope="module")
def processor() -> Any:
    return LlavaNextProcessor.from_pretrained(weights_folder())


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_fold(processor: Any, one: str, other: str) -> None:
    first, second = (processor.tokenizer(text).input_ids for text in (one, other))
    assert first == second


@pytest.mark.parametrize("text", ["Say what image 3 shows.", "Say what the third photo shows."])
def test_an_image_with_a_number_is_not_asked_for(processor: Any, text: str) -> None:
    """Only "what image" without one means the same as "which image"."""
    wanted = VOCABULARY.index("what"), VOCABULARY.index("image"), VOCABULARY.index("3")
    ids = processor.tokenizer(text).input_ids
    assert tuple(ids[1:4]) == wanted


def test_the_number_of_an_image_is_not_a_number_of_images(processor: Any) -> None:
    one, many, of = (
        processor.tokenizer(f"Give the number of {noun}.").input_ids
        for noun in ("the image with a star", "the images with a star", "image 3")
    )
    assert VOCABULARY.index("count") not in one
    assert VOCABULARY.index("count") in many
    assert VOCABULARY.index("count") in of  # what is written in it; never its own number


def test_documented_wordings_are_known(processor: Any) -> None:
    unknown = processor.tokenizer.unk_token_id
    for text in (
        "Which image shows a red circle? Which image shows the digit 7?",
        "In which image is there a green object? What shape is the red object in image 3?",
        "What digit is written in image 3? Is there a heart in image 4?",
        "How many images show a star? Describe image 2. Note: amber is 7.",
        "What is the value of amber? What changed between image 1 and image 2?",
        "Where does the square move from image 1 to image 3? colour shape position digit nothing",
        "left right up down yes no cyan purple triangle diamond ring cross",
    ):
        assert unknown not in processor.tokenizer(text).input_ids


def test_unknown_words_are_unknown(processor: Any) -> None:
    assert processor.tokenizer("zyzzyva").input_ids == [processor.tokenizer.unk_token_id]


@pytest.mark.parametrize("text", ["<image>", "</s>", "a <q> b", "<a>", "<s><unk><pad>"])
def test_special_tokens_can_be_text(processor: Any, text: str) -> None:
    ids = processor.tokenizer(text, split_special_tokens=True).input_ids
    assert not set(ids) & {VOCABULARY.index(t) for t in ("<image>", "<s>", "</s>", "<q>", "<a>")}
    assert ids


def test_template_numbers_images_and_puts_the_question_last(processor: Any) -> None:
    content = [
        {"type": "image"},
        {"type": "text", "text": "Note: amber is 7."},
        {"type": "image"},
        {"type": "text", "text": "What is amber?"},
    ]
    turn = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(turn, add_generation_prompt=True)
    assert prompt == (
        "<s> image 1 : <image> Note: amber is 7. image 2 : <image> <q> What is amber? <a>"
    )
    first = [content[3], content[0], content[1], content[2]]
    asked_first = processor.apply_chat_template(
        [{"role": "user", "content": [first[0], first[1], first[3]]}], add_generation_prompt=True
    )
    assert asked_first == "<s> image 1 : <image> image 2 : <image> <q> What is amber? <a>"


def test_template_of_a_dialogue(processor: Any) -> None:
    dialogue = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "red circle"}]},
        {"role": "user", "content": "What color is it?"},
    ]
    prompt = processor.apply_chat_template(dialogue, add_generation_prompt=True)
    assert prompt == (
        "<s> image 1 : <image> <q> Describe. <a> red circle </s> <q> What color is it? <a>"
    ), prompt


def test_shipped_processor_is_what_the_code_builds(processor: Any) -> None:
    built, auto = build_processor(), AutoProcessor.from_pretrained(weights_folder())
    text = "<s> image 1 : <image> <q> What colour is the STAR in the second photo? <a>"
    wanted = built.tokenizer(text).input_ids
    for other in (processor, auto):
        assert type(other).__name__ == "LlavaNextProcessor"
        assert type(other.image_processor).__name__ == "LlavaNextImageProcessorPil"
        assert other.tokenizer(text).input_ids == wanted
        assert other.chat_template == built.chat_template
    assert wanted[:4] == [VOCABULARY.index(w) for w in ("<s>", "image", "1", "<image>")]
