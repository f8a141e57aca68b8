"""Text comes out piece by piece, whole characters only, never a part of a stop string."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from myopia.streaming import TextStream
from tests.myopia.tiny import sentencepiece_style


def byte_level() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)


TOKENIZERS = {"sentencepiece": sentencepiece_style(), "byte-level": byte_level()}


def stream(tokenizer: Any, text: str, stop: tuple[str, ...] = ()) -> tuple[list[str], TextStream]:
    """Every piece of a text's tokens, the last one being the held-back rest."""
    made = TextStream(tokenizer, stop)
    pieces = []
    for token in tokenizer(text, add_special_tokens=False).input_ids:
        pieces.append(made.push(token))
        if made.stopped:
            break
    return [*pieces, made.finish()], made


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="ab é東🎉\n.<", max_size=24))
def test_pieces_join_to_the_text(tokenizer: Any, text: str) -> None:
    pieces, _ = stream(tokenizer, text)
    assert "".join(pieces) == text.strip()
    assert "�" not in "".join(pieces)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet="ab é\n", max_size=24),
    stop=st.lists(st.text(alphabet="ab é\n", min_size=1, max_size=4), max_size=3),
)
def test_stops_cut_wherever_tokens_break(tokenizer: Any, text: str, stop: list[str]) -> None:
    read = tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)
    pieces, made = stream(tokenizer, text, tuple(stop))
    answer = "".join(pieces)
    # leading white space is no part of an answer, nor of a stop that would begin in it
    if read == read.lstrip():
        cut = first_stop(tokenizer, text, stop)
        assert answer == (read.strip() if cut is None else read[:cut].rstrip())
        assert made.stopped == (cut is not None)
    for at in range(len(pieces)):
        said = "".join(pieces[: at + 1])
        assert not any(one in said for one in stop)


def first_stop(tokenizer: Any, text: str, stop: list[str]) -> int | None:
    """Where the text is cut: at the first token after which some stop string is there."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    for count in range(1, len(ids) + 1):
        said = tokenizer.decode(ids[:count])
        found = [at for one in stop if (at := said.find(one)) >= 0]
        if found:
            return min(found)
    return None


def test_text_comes_as_soon_as_it_is_certain() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    pieces, made = stream(tokenizer, "one END two", ("END",))
    assert pieces == ["o", "n", "e", "", "", "", "", ""]
    assert made.stopped
    pieces, made = stream(tokenizer, "an ENd", ("END",))
    assert pieces == ["a", "n", "", "", "", " ENd", ""]
    assert not made.stopped


def test_unfinished_bytes_wait_and_end_as_they_must() -> None:
    tokenizer = TOKENIZERS["byte-level"]
    ids = tokenizer("é東", add_special_tokens=False).input_ids
    made = TextStream(tokenizer)
    assert [made.push(one) for one in ids[:4]] == ["", "é", "", ""]
    assert made.finish() == "�"  # what a stock decode of the cut bytes says
