"""Wire to engine and back: field sets agree, nothing is lost, every exception has a code."""

import dataclasses
import inspect
from typing import get_args, get_type_hints

import pytest

import myopia.errors
from myopia import params, report
from myopia.pictures import PictureLimits
from myopia.policies import POLICIES
from myopia.presets import PRESETS
from tests.wire.asks import make_ask
from wire import codes, messages, pruning
from wire.errors import MessageRefused, StoreUnavailable
from wire.messages import Done, Failed, ImagePart, TextPart, Turn
from wire.records import Ending
from worker.translate import CODES, SETTLED, ending_state, to_done, to_failed, to_request

LIMITS = PictureLimits()


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_field_sets_agree() -> None:
    assert set(pruning.Pruning.model_fields) - SETTLED == names(params.Pruning)
    assert set(pruning.Pruning.model_fields) >= SETTLED
    assert set(pruning.Generation.model_fields) | {"logprobs"} == names(params.Sampling)
    assert set(messages.Usage.model_fields) == names(report.Usage)
    assert set(messages.Timings.model_fields) == names(report.Timings)
    assert set(messages.CacheUse.model_fields) - {"result"} == names(report.CacheUse)
    assert set(messages.TokenLogprob.model_fields) == names(report.TokenLogprob)


def test_defaults_agree() -> None:
    wire_pruning = pruning.Pruning().model_dump(exclude=SETTLED)
    assert wire_pruning == dataclasses.asdict(params.Pruning())
    wire = pruning.Generation().model_dump()
    engine = dataclasses.asdict(params.Sampling())
    assert {**wire, "logprobs": None} == engine


def test_presets_agree_and_knobs_beside_them_count() -> None:
    for name in ("default", "paper"):
        wire = pruning.Pruning.model_validate({"preset": name})
        assert params.Pruning(**wire.model_dump(exclude=SETTLED)) == PRESETS[name]
        again = pruning.Pruning.model_validate_json(wire.model_dump_json())
        assert again == wire
    mixed = pruning.Pruning.model_validate({"preset": "paper", "gamma": 2.5, "budget": 0.1})
    assert (mixed.gamma, mixed.budget, mixed.subsidy) == (2.5, 0.1, "index")
    with pytest.raises(ValueError, match="preset"):
        pruning.Pruning.model_validate({"preset": "best"})


def test_policy_names_agree() -> None:
    assert set(get_args(pruning.PolicyName)) == set(POLICIES)


def test_every_field_of_the_ask_arrives() -> None:
    turns = (
        Turn(role="system", parts=(TextPart(text="Be brief."),)),
        Turn(role="user", parts=(TextPart(text="A"), TextPart(text="B"))),
    )
    ask = make_ask(
        turns=turns,
        options=("1", "2"),
        pruning={"policy": "h2o", "budget": 0.3, "gamma": 2, "alpha": 0.1},
        generation={"max_tokens": 7, "temperature": 1, "seed": 5, "stop": ["x"]},
        tiles="base",
        reuse="none",
        logprobs=3,
        explain=True,
    )
    request = to_request(ask, 123.0, lambda _: None, LIMITS)
    assert [turn.parts for turn in request.turns] == [("Be brief.",), ("A", "B")]
    assert [turn.role for turn in request.turns] == ["system", "user"]
    assert (request.ask_id, request.options, request.deadline) == (ask.ask_id, ("1", "2"), 123.0)
    assert (request.tiles, request.reuse, request.explain) == ("base", "none", True)
    asked = ask.pruning.model_dump(exclude=SETTLED)
    assert dataclasses.asdict(request.pruning) == asked
    assert request.sampling == params.Sampling(7, 1, 1, 5, ("x",), 3)


def test_an_unseeded_sample_is_the_same_for_each_attempt() -> None:
    ask = make_ask(generation={"temperature": 1})
    first = to_request(ask, 1.0, lambda _: None, LIMITS).sampling.seed
    second = to_request(ask, 1.0, lambda _: None, LIMITS).sampling.seed
    assert first is not None
    assert first == second
    other = to_request(make_ask(generation={"temperature": 1}), 1.0, lambda _: None, LIMITS)
    assert other.sampling.seed != first
    assert to_request(make_ask(), 1.0, lambda _: None, LIMITS).sampling.seed is None


def test_a_picture_that_is_gone_is_named() -> None:
    parts = (ImagePart(digest="0" * 64, index=3), TextPart(text="?"))
    ask = make_ask(turns=(Turn(role="user", parts=parts),))
    with pytest.raises(myopia.errors.BadImage) as caught:
        to_request(ask, 1.0, lambda _: None, LIMITS)
    assert caught.value.image_index == 3


def errors_of_the_library() -> list[type[Exception]]:
    kinds = [kind for _, kind in inspect.getmembers(myopia.errors, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", errors_of_the_library())
def test_every_error_of_the_library_is_in_the_table(kind: type[Exception]) -> None:
    assert kind in dict(CODES)
    assert to_failed(kind("words for the asker")).code in codes.CODES


def test_the_table_is_total_and_each_line_can_be_reached() -> None:
    assert CODES[-1] == (Exception, "internal")
    for place, (kind, code) in enumerate(CODES):
        assert code in codes.CODES
        assert not any(issubclass(kind, earlier) for earlier, _ in CODES[:place]), kind


def test_only_words_for_the_asker_are_quoted() -> None:
    for error in (ValueError("0x7fffdeadbeef"), myopia.errors.MyopiaError("secret"), KeyError("k")):
        failed = to_failed(error)
        assert failed.code == "internal"
        assert str(error) not in failed.detail
    kept = to_failed(myopia.errors.PromptTooLong("say less", field="/q", limit=1, actual=2))
    assert (kept.detail, kept.field, kept.limit, kept.actual) == ("say less", "/q", 1, 2)
    assert to_failed(MessageRefused("no", "/version")).field == "/version"
    assert to_failed(StoreUnavailable("down")).code == "unavailable"


def test_done_carries_everything_and_adds_the_time_in_the_queue() -> None:
    finished = report.Finished(
        reason="stop",
        answer="yes",
        usage=report.Usage(1, 2, 3, 4.5, 5.5, 6, 7, 8, 0.9),
        cache=report.CacheUse(2, "exact"),
        timings=report.Timings(1, 2, 3, 4, 5, 6, 7),
        warnings=("one",),
        logprobs=(report.TokenLogprob("a", -0.1, (("b", -2.0),)),),
        explain={"k": 1},
    )
    done = to_done(finished, model="m", queue_ms=10, warnings=("two",))
    assert done.usage.model_dump() == dataclasses.asdict(finished.usage)
    assert done.cache.model_dump() == {"result": "miss", "features": 2, "prefill": "exact"}
    assert done.timings.queue_ms == 11
    assert done.timings.first_token_ms == 15
    assert done.timings.total_ms == 17
    assert done.timings.decode_ms == 6
    assert done.warnings == ("one", "two")
    assert done.logprobs == (messages.TokenLogprob(token="a", logprob=-0.1, top=(("b", -2.0),)),)
    assert (done.model, done.answer, done.explain) == ("m", "yes", {"k": 1})


def test_endings_have_states() -> None:
    assert get_type_hints(ending_state)["return"] == Ending
    done = Done(model="m", answer="", finish_reason="stop")
    assert ending_state(done) == "done"
    assert ending_state(done.model_copy(update={"finish_reason": "cancelled"})) == "cancelled"
    for code in codes.CODES:
        expected = {"expired": "expired", "cancelled": "cancelled"}.get(code, "failed")
        assert ending_state(Failed(code=code, detail=".")) == expected
