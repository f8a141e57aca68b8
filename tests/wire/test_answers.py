"""The result cache: what decides an answer is in its key, and a cache that is down is empty."""

import asyncio

import pytest
from pydantic import SecretStr

from tests.redis_server import free_port
from tests.wire.asks import make_ask, make_done
from wire.answers import AsyncAnswers, answer_key, is_repeatable
from wire.messages import Ask, ImagePart, TextPart, Turn
from wire.settings import WireSettings
from wire.store import AsyncStore


def key(ask: Ask, **more: str) -> str:
    return answer_key(ask, **{"model": "m", "revision": "r", **more})


def test_the_same_question_has_the_same_key() -> None:
    assert key(make_ask("q")) == key(make_ask("q", timeout_seconds=5))


def pictures(*digits: str) -> tuple[Turn, ...]:
    parts = [ImagePart(digest=digit * 64, index=index) for index, digit in enumerate(digits)]
    return (Turn(role="user", parts=(*parts, TextPart(text="q"))),)


@pytest.mark.parametrize(
    "other",
    [
        make_ask("other"),
        make_ask("q", pruning={"budget": 0.3}),
        make_ask("q", pruning={"policy": "h2o"}),
        make_ask("q", generation={"max_tokens": 5}),
        make_ask("q", options=("a", "b")),
        make_ask("q", tiles="base"),
        make_ask("q", explain=True),
        make_ask("q", logprobs=1),
        make_ask(turns=pictures("1", "2")),
    ],
)
def test_whatever_decides_the_answer_changes_the_key(other: Ask) -> None:
    assert key(make_ask("q")) != key(other)


def test_order_of_pictures_model_and_tenant_change_the_key() -> None:
    one, two = make_ask(turns=pictures("1", "2")), make_ask(turns=pictures("2", "1"))
    assert key(one) != key(two)
    assert len({key(one), key(one, model="n"), key(one, revision="s"), key(one, tenant="t")}) == 4


def test_only_repeatable_answers_are_worth_keeping() -> None:
    assert is_repeatable(make_ask())
    assert not is_repeatable(make_ask(generation={"temperature": 1}))
    assert is_repeatable(make_ask(generation={"temperature": 1, "seed": 1}))


def test_put_and_get(wire_settings: WireSettings) -> None:
    async def story() -> None:
        store = AsyncStore(wire_settings)
        answers = AsyncAnswers(store)
        assert await answers.get("k") is None
        await answers.put("k", make_done("é"))
        stored = await answers.get("k")
        assert stored is not None
        assert stored.done == make_done("é")
        assert 0 <= stored.age_seconds < 5
        assert await store.cache.ttl("myopia:answer:k") > 80000
        await store.cache.set("myopia:answer:k", "1 {}")
        assert await answers.get("k") is None
        await store.close()

    asyncio.run(story())


def test_a_cache_that_is_down_is_empty(wire_settings: WireSettings) -> None:
    nowhere = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    settings = wire_settings.model_copy(update={"redis_cache_url": nowhere})

    async def story() -> None:
        store = AsyncStore(settings)
        answers = AsyncAnswers(store)
        await answers.put("k", make_done())
        assert await answers.get("k") is None
        await store.ping()
        await store.close()

    asyncio.run(story())
