"""Budget `auto` over HTTP: told with the answer, kept with it, refused where it cannot be."""

from collections.abc import Iterator

import httpx
import pytest

from tests.service.responder import Responder, Step, done
from tests.service.test_ask import RED, body
from wire.messages import Ask, BudgetChoice, Failed

CHOICE = BudgetChoice(
    budget=0.1, target_agreement=0.9, kind="open", images=2, agreement=0.97, questions=40, why="w"
)


def settled(ask: Ask) -> Iterator[Step]:
    yield done("2", budget_choice=CHOICE if ask.pruning.budget == "auto" else None)


def test_the_choice_is_told_also_with_a_stored_answer(
    http: httpx.Client, responder: Responder
) -> None:
    responder.script = settled
    sent = body(RED, pruning={"budget": "auto", "target_agreement": 0.9})
    first, again = (http.post("/v1/ask", json=sent).json() for _ in range(2))
    assert responder.asks[0].pruning.budget == "auto"
    assert first["budget_choice"] == again["budget_choice"] == CHOICE.model_dump()
    assert (first["cache"]["result"], again["cache"]["result"]) == ("miss", "hit")
    other = body(RED, pruning={"budget": "auto", "target_agreement": 0.8})
    assert http.post("/v1/ask", json=other).json()["cache"]["result"] == "miss"
    number = http.post("/v1/ask", json=body(RED, pruning={"budget": 0.1})).json()
    assert (number["cache"]["result"], number["budget_choice"]) == ("miss", None)


def test_a_model_without_a_calibration_is_a_problem_that_names_field_and_fix(
    http: httpx.Client, responder: Responder
) -> None:
    def refused(ask: Ask) -> Iterator[Step]:
        yield Failed(code="bad_request", detail="give a number", field="/pruning/budget")

    responder.script = refused
    reply = http.post("/v1/ask", json=body(RED, pruning={"budget": "auto"}))
    assert reply.status_code == 422
    assert reply.json()["field"] == "/pruning/budget"
    assert reply.json()["detail"] == "give a number"


@pytest.mark.parametrize(
    ("pruning", "field"),
    [
        ({"budget": "much"}, "/pruning/budget"),
        ({"budget": 0}, "/pruning/budget"),
        ({"budget": 0.2, "target_agreement": 0.9}, "/pruning/target_agreement"),
        ({"budget": "auto", "target_agreement": 0}, "/pruning/target_agreement"),
    ],
)
def test_bad_values_are_refused_by_name(
    http: httpx.Client, responder: Responder, pruning: dict[str, object], field: str
) -> None:
    reply = http.post("/v1/ask", json=body(RED, pruning=pruning))
    assert reply.status_code == 422
    assert reply.json()["field"].startswith(field)


def test_auto_is_estimated_at_its_most(http: httpx.Client, responder: Responder) -> None:
    told = http.post("/v1/estimate", json=body(RED, pruning={"budget": "auto"}))
    assert told.status_code == 200
    assert set(told.json()["kv_bytes"]) == {"1", "0.5", "0.2", "0.1", "0.05"}


def test_the_page_still_finds_the_bounds_of_budget(http: httpx.Client) -> None:
    schemas = http.get("/openapi.json").json()["components"]["schemas"]
    budget = schemas["Pruning"]["properties"]["budget"]
    assert (budget["exclusiveMinimum"], budget["maximum"], budget["default"]) == (0, 1, 0.2)
    assert {"enum": ["auto"], "type": "string"} in budget["anyOf"]
