"""The page on the real gateway, Redis and keys, with a worker that works when it is told to."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.keys import ANYBODY, make
from tests.redis_server import RedisServer, redis_server
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, Step, done, responding
from tests.system.browsing import REFUSED, Tab, opened, pictures
from tests.wire.asks import make_ask
from wire import calls
from wire.messages import Ask, Token

__all__ = ["redis_server"]

ONE_ASKING = {"ask_id", "deadline", "traceparent"}


@pytest.fixture
def idle(redis_server: RedisServer) -> Iterator[Responder]:
    """A worker with one slot, a mean of three seconds, that is alive and takes nothing up."""
    redis_server.wipe()
    with responding(settings_for(redis_server)) as found:
        found.stop_taking()
        found.capacity = 1
        found.store.text.hset("myopia:count", "service_ms", "3000")
        yield found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return pictures(tmp_path, 2)


def waiting_words(tab: Tab, words: str) -> None:
    tab.page.wait_for_function(
        "words => document.querySelector('.card .wait')?.innerText.includes(words)", arg=words
    )


def slow(ask: Ask) -> Iterator[Step]:
    yield 2.0
    yield Token(text="two ")
    yield 0.5
    yield Token(text="words")
    yield done("two words")


def test_the_place_in_line_moves_until_the_answer_streams(
    browser: Any, redis_server: RedisServer, idle: Responder, files: list[Path]
) -> None:
    in_front = [make_ask() for _ in range(2)]
    for ask in in_front:
        idle.ledger.submit(ask, tenant=ANYBODY.owner)
    with listening(settings_for(redis_server)) as url, opened(browser, url) as tab:
        tab.page.get_by_text("Ready", exact=True).wait_for()
        tab.page.set_input_files("#files", files)
        tab.stored(2)
        tab.ask("which ?")
        waiting_words(tab, "Number 3 in line · expected to start in about 6 s")
        assert tab.page.inner_text(".phase").startswith("In line")
        idle.store.run(calls.cancel(in_front[0].ask_id, everyone=True))
        waiting_words(tab, "Number 2 in line · expected to start in about 3 s")
        idle.store.run(calls.cancel(in_front[1].ask_id, everyone=True))
        waiting_words(tab, "Next in line · starts in a moment")
        idle.script = slow
        idle._idle.clear()
        tab.page.get_by_text("Reading the pictures").wait_for()
        tab.page.wait_for_function("() => document.querySelector('.words').textContent === 'two '")
        tab.done()
        assert tab.words() == "two words"
        assert tab.page.locator(".card .wait").count() == 0


def test_without_a_worker_the_page_says_what_is_missing(
    browser: Any, redis_server: RedisServer, files: list[Path]
) -> None:
    redis_server.wipe()
    with listening(settings_for(redis_server)) as url, opened(browser, url) as tab:
        tab.expected = REFUSED
        tab.page.set_input_files("#files", files)
        tab.ask("which ?")
        waiting_words(tab, "Next in line · no worker takes asks now")
        tab.page.click("#stop")
        tab.done()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return make(tmp_path / "keys.json", {"name": "ann"})


@pytest.fixture
def guarded(
    browser: Any, redis_server: RedisServer, idle: Responder, tmp_path: Path, secret: str
) -> Iterator[Tab]:
    """The page of a gateway that wants a key, once the key was given."""
    settings = settings_for(redis_server, api_keys_file=tmp_path / "keys.json")
    with listening(settings) as url, opened(browser, url) as tab:
        tab.expected = REFUSED
        tab.page.set_input_files("#files", pictures(tmp_path, 2))
        tab.page.get_by_text("This service asks for a key").wait_for()
        tab.page.fill("#key-field", secret)
        tab.page.click("#key .go")
        tab.stored(2)
        yield tab


def test_with_a_key_its_turn_comes_before_a_crowd_of_another_key(
    guarded: Tab, idle: Responder
) -> None:
    for _ in range(9):
        idle.ledger.submit(make_ask(), tenant="crowd")
    guarded.ask("which ?")
    waiting_words(guarded, "Next in line")  # `ann` before `crowd`, whose nine came first
    guarded.page.click("#stop")
    guarded.done()


def test_what_is_copied_asks_the_very_same(
    guarded: Tab, idle: Responder, tmp_path: Path, secret: str
) -> None:
    """With every kind of setting changed and a key wanted: curl, Python and the page agree."""
    page = guarded.page
    idle._idle.clear()
    page.select_option("#policy-a", "snapkv")
    page.locator("#budget-a").fill("0.35")
    page.click(".more summary")
    page.fill("#rest-top-options", "1, 2 it's")
    page.select_option("#rest-top-tiles", "base")
    page.fill("#rest-generation-max_tokens", "7")
    page.fill("#rest-generation-seed", "3")
    guarded.ask("is it 'so' ?\nsay \\ “it”")
    guarded.done()
    page.click("#share-open")
    environment = {"MYOPIA_KEY": secret, "PATH": "/usr/bin:/bin"}
    commands = {
        "curl": ["sh", "-c", page.inner_text("[data-form=curl] pre")],
        "Python": [sys.executable, "-c", page.inner_text("[data-form=Python] pre")],
    }
    pytest.importorskip("openai", reason="the openai client is not installed")
    said = {}
    for name, command in commands.items():
        assert secret not in " ".join(command)
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr[-1000:]
        said[name] = ran.stdout.strip()
    told = json.loads(said["curl"])
    assert (told["cache"]["result"], told["answer"]) == ("miss", guarded.words())
    assert said["Python"] == guarded.words()
    shown, curl = (ask.model_dump(exclude=ONE_ASKING) for ask in idle.asks)
    assert {**shown, "explain": False} == curl
    # Python's was the answer to curl's ask: everything that decides an answer is the same.
    metrics = httpx.get(page.url.split("#")[0] + "metrics").text
    assert 'myopia_result_cache_total{result="hit"} 1.0' in metrics
    assert curl["options"] == ("1", "2 it's")
    assert (curl["tiles"], curl["generation"]["seed"]) == ("base", 3)
