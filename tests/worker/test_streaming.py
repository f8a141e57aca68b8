"""A new attempt retraces what was sent: no gap, no repeat, and an honest word when it parts."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from worker.streaming import DIVERGED, Retracing, Stream


def cut(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


@given(st.text(), st.integers(0, 50), st.lists(st.integers(0, 100)))
def test_no_gap_and_no_repeat_however_pieces_are_cut(
    answer: str, sent: int, cuts: list[int]
) -> None:
    before = answer[:sent]
    retracing = Retracing(before)
    fresh = "".join(retracing.fresh(piece) for piece in cut(answer, cuts))
    assert before + fresh == answer
    assert retracing.warnings == ()


def test_another_text_is_not_sent_and_warned_of() -> None:
    retracing = Retracing("one two")
    assert retracing.fresh("one ") == ""
    assert retracing.fresh("three four") == ""
    assert retracing.fresh(" five") == ""
    assert retracing.warnings == (DIVERGED,)


def test_a_shorter_text_is_warned_of() -> None:
    retracing = Retracing("one two")
    assert retracing.fresh("one") == ""
    assert retracing.warnings == (DIVERGED,)


def test_the_rest_of_a_stream_follows_what_is_told() -> None:
    stream = Stream("one two")
    assert (stream.rest.text, stream.rest.start, stream.rest.end) == ("one two", 0, 7)
    stream.told = 4
    assert (stream.rest.text, stream.rest.start, stream.rest.end) == ("two", 4, 7)
    stream.told = 7
    assert stream.rest.text == ""
