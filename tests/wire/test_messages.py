"""The wire round-trips; what this version does not know is refused with a code."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.wire.asks import make_ask
from wire.errors import MessageRefused
from wire.messages import EVENT, Ask, Done, Failed, Token
from wire.pruning import Generation, Pruning
from wire.reading import read_ask

budgets = st.floats(0.001, 1, allow_nan=False)


@given(
    st.builds(Pruning, budget=budgets, gamma=st.floats(0.4, 4), alpha=st.floats(0, 1)),
    st.builds(Generation, temperature=st.floats(0, 2), seed=st.none() | st.integers(0, 2**63 - 1)),
    st.text(),
)
def test_an_ask_round_trips(pruning: Pruning, generation: Generation, question: str) -> None:
    ask = make_ask(question, pruning=pruning, generation=generation)
    assert read_ask(ask.model_dump_json()) == ask


@pytest.mark.parametrize(
    "event",
    [
        Token(text="é\n"),
        Done(model="m", answer="a", finish_reason="length", explain={"a": [1]}),
        Failed(code="bad_image", detail="d", image_index=2, limit=1, actual=2.5),
    ],
)
def test_an_event_round_trips(event: Token | Done | Failed) -> None:
    assert EVENT.validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": 2}, "/version"),
        ({"surprise": 1}, "/surprise"),
        ({"pruning": {"policy": "magic"}}, "/pruning/policy"),
        ({"pruning": {"budget": 0}}, "/pruning/budget"),
        ({"turns": []}, "/turns"),
    ],
)
def test_what_is_not_known_is_refused_with_a_code(change: dict[str, object], field: str) -> None:
    said = {**json.loads(make_ask().model_dump_json()), **change}
    with pytest.raises(MessageRefused) as caught:
        read_ask(json.dumps(said))
    assert caught.value.code == "bad_request"
    assert caught.value.field == field


def test_no_nan_crosses() -> None:
    with pytest.raises(ValidationError):
        Pruning(budget=float("nan"))
    with pytest.raises(ValidationError):
        Ask.model_validate(make_ask().model_dump() | {"deadline": float("inf")})
