import json

import pytest

from service.problems import KINDS, RETRY_LATER, Problem, from_failed
from service.refusals import HTTP_DETAILS, STATUS_CODES, advice, from_validation, pointer
from service.schema import AskBody
from wire.codes import CODES, Code
from wire.messages import Failed


def test_every_code_has_one_kind_and_no_other_is_there() -> None:
    assert set(KINDS) == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_code_makes_a_whole_problem(code: Code) -> None:
    response = Problem(code, "Change this.", field="/a/b", limit=2.0, actual=2.5).response()
    body = json.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code == KINDS[code].status
    assert body["type"] == f"/problems/{code}"
    assert (body["code"], body["field"], body["limit"], body["actual"]) == (code, "/a/b", 2, 2.5)
    assert ("Retry-After" in response.headers) == (code in RETRY_LATER)


def test_statuses_that_the_contract_names() -> None:
    named = {
        "bad_request": 422,
        "bad_image": 422,
        "prompt_too_long": 422,
        "too_large": 413,
        "unsupported_media_type": 415,
        "unauthorized": 401,
        "forbidden": 403,
        "not_found": 404,
        "conflict": 409,
        "rate_limited": 429,
        "overloaded": 429,
        "unavailable": 503,
        "expired": 504,
    }
    assert {code: KINDS[code].status for code in named} == named


def test_every_status_that_starlette_raises_has_a_sentence() -> None:
    told = set(HTTP_DETAILS) | {"unauthorized", "forbidden"}
    assert set(STATUS_CODES.values()) <= told


def test_what_a_worker_says_is_passed_on_whole() -> None:
    failed = Failed(code="bad_image", detail="D", field="/f", image_index=3, limit=1, actual=2)
    body = from_failed(failed, "ask_12345678").body()
    assert body["image_index"] == 3
    assert (body["field"], body["ask_id"], body["detail"]) == ("/f", "ask_12345678", "D")


def test_names_that_askers_invent_are_not_repeated() -> None:
    assert pointer(("pruning", "budget")) == "/pruning/budget"
    assert pointer(("images", 3, "data")) == "/images/3/data"
    assert pointer(("pruning", "<script>alert(1)</script>")) == "/pruning"
    assert pointer(("a" * 500,)) == ""


def test_every_schema_error_is_listed_up_to_a_bound() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as caught:
        AskBody.model_validate({f"x{i}": "secret" for i in range(50)})
    problem = from_validation(caught.value.errors())
    assert len(problem.errors) == 20
    assert "secret" not in json.dumps(problem.body())


def test_advice_never_starts_with_pydantics_word() -> None:
    error = {"type": "literal_error", "msg": "Input should be 'a' or 'b'", "loc": ()}
    assert advice(error) == "This must be 'a' or 'b'."
