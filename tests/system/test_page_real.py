"""The page in a real browser on the stack that `make serve` starts, with the pocket model."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.browsing import (
    DROP,
    REFUSED,
    Tab,
    figure,
    finding,
    kept_share,
    opened,
    pictures,
    sent_by,
    visit,
    window,
)
from tests.system.serving import Served, wait_until

QUESTION = "Which image shows a red circle?"
RECORD = """() => {
  window.written = [];
  new MutationObserver(() => {
    const words = document.querySelector(".card .words");
    if (words && written.at(-1) !== words.textContent) written.push(words.textContent);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def empty(browser: Any) -> Iterator[Any]:
    with window(browser) as page:
        yield page


@pytest.fixture
def tab(empty: Any, served: Served) -> Iterator[Tab]:
    with visit(empty, served.address) as found:
        found.page.get_by_text("Ready", exact=True).wait_for(timeout=30_000)
        yield found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return pictures(tmp_path, 3)


def choose(tab: Tab, files: list[Path]) -> None:
    with tab.page.expect_file_chooser() as chooser:
        tab.page.click("#drop")
    chooser.value.set_files(files)


def uncached(tab: Tab, **generation: int) -> None:
    if tab.page.locator(".more:not([open])").count():
        tab.page.click(".more summary")
    tab.page.select_option("#rest-top-cache", "off")
    for name, value in generation.items():
        tab.page.fill(f"#rest-generation-{name}", str(value))


def test_drop_choose_reorder_ask_and_see_the_answer_stream(
    tab: Tab, served: Served, files: list[Path]
) -> None:
    carried = [{"name": "c.png", "data": base64.b64encode(files[2].read_bytes()).decode()}]
    choose(tab, files[:2])
    tab.page.evaluate(DROP, [carried, "#sheet"])
    grips = tab.page.locator(".tile:not(.add) .grip")
    grips.nth(2).drag_to(grips.nth(0), steps=6)
    assert tab.names() == ["c.png", "a.png", "b.png"]
    uncached(tab)
    heard = sent_by(tab)
    tab.page.evaluate(RECORD)
    tab.ask("describe image 1 ?")
    tab.done()
    written = [text for text in tab.page.evaluate("written") if text]
    assert len(written) > 1, "the answer came in one piece"
    assert all(longer.startswith(text) for text, longer in pairwise(written))
    assert heard[0]["pruning"] == {"policy": "myopia", "budget": 0.2, "gamma": 1, "alpha": 0.5}
    parts = [("images", files[at].open("rb")) for at in (2, 0, 1)]
    params = json.dumps({"cache": "off"})
    told = httpx.post(
        f"{served.address}/v1/ask",
        files=parts,
        data={"question": "describe image 1 ?", "params": params},
        timeout=60,
    ).json()
    assert tab.words() == told["answer"]
    assert figure(tab, "Picture tokens").split()[2] == str(told["usage"]["image_tokens"])
    assert figure(tab, "Cache").startswith("Miss") or figure(tab, "Cache").startswith("Off")


def test_budget_and_policy_decide_what_is_held(tab: Tab, files: list[Path]) -> None:
    choose(tab, files)
    held = {}
    for budget in ("0.1", "0.5"):
        tab.page.locator("#budget-a").fill(budget)
        tab.ask(QUESTION)
        tab.done()
        held[budget] = kept_share(tab)
    assert held["0.1"] < held["0.5"] < 1
    tab.page.select_option("#policy-a", "full")
    tab.page.click("#go")
    tab.done()
    assert kept_share(tab) == 1


def test_the_same_ask_again_is_a_hit(tab: Tab, files: list[Path]) -> None:
    choose(tab, files[:2])
    for _ in range(2):
        tab.ask("which image shows a star ?")
        tab.done()
        first, shown = tab.words(), figure(tab, "Cache")
    assert shown.startswith("Hit")
    assert first == tab.words()


def test_what_was_kept_follows_budget_layers_and_policy(tab: Tab, files: list[Path]) -> None:
    choose(tab, files)
    seen = []
    for budget in ("0.1", "0.4"):
        tab.page.locator("#budget-a").fill(budget)
        tab.ask(QUESTION)
        tab.done()
        tab.page.wait_for_selector("#kept:not([hidden])")
        assert tab.page.locator(".plate").count() == len(files)
        seen.append(tab.pixels())
        counts = tab.page.locator(".view .count b").all_inner_texts()
        kept, whole = zip(*(re.findall(r"\d+", text) for text in counts), strict=True)
        share = sum(map(int, kept)) / sum(map(int, whole))
        assert abs(share - float(budget)) < 0.1
    assert seen[0] != seen[1]
    shares = tab.page.locator(".shares").first.inner_text()
    assert "before" in shares
    assert "after" in shares
    tab.page.locator("#layer-group").fill("1")
    assert tab.page.inner_text(".layers output") != "All layers"


@pytest.mark.parametrize("other", ["Full cache", "Gamma 1.8"])
def test_two_settings_side_by_side(tab: Tab, files: list[Path], other: str) -> None:
    choose(tab, files)
    heard = sent_by(tab)
    tab.page.get_by_text(other).click()
    tab.ask(QUESTION)
    tab.done()
    a, b = sorted((body["pruning"] for body in heard), key=lambda pruning: pruning["budget"])
    if other == "Full cache":
        assert (a["budget"], b["budget"], b["policy"]) == (0.2, 1, "full")
        assert kept_share(tab, 0) < kept_share(tab, 1) == 1
    else:
        assert sorted((a["gamma"], b["gamma"])) == [1, 1.8]
    same = tab.words(0).strip() == tab.words(1).strip()
    assert tab.page.inner_text("#verdict strong") == (
        "Same answer" if same else "Different answers"
    )
    tab.page.wait_for_selector("#kept:not([hidden])")
    assert tab.page.locator(".view canvas").count() == 2 * len(files)
    assert tab.pixels(0) != tab.pixels(1)
    for chart in tab.page.locator(".chart").all():
        before, after = (
            chart.locator(kind).evaluate_all("all => all.map((bar) => bar.offsetHeight)")
            for kind in (".before", ".after")
        )
        assert len(before) == len(after) == len(files)
        assert max(before + after) > 0


def test_a_copied_link_asks_the_same_again(
    tab: Tab, browser: Any, served: Served, files: list[Path]
) -> None:
    choose(tab, files)
    tab.page.locator("#gamma-a").fill("1.2")
    tab.ask(QUESTION)
    tab.done()
    tab.page.click("#share-open")
    link = tab.page.inner_text("[data-form=Link] pre")
    with opened(browser, served.address, link.removeprefix(served.address)) as other:
        other.stored(3)
        assert other.names() == ["a.png", "b.png", "c.png"]
        other.page.click("#go")
        other.done()
        assert other.words() == tab.words()
        assert figure(other, "Cache").startswith("Hit"), "not the same ask"


def test_the_copied_commands_run(tab: Tab, files: list[Path]) -> None:
    choose(tab, files)
    tab.ask(QUESTION)
    tab.done()
    tab.page.click("#share-open")
    folder = files[0].parent
    curl = tab.page.inner_text("[data-form=curl] pre")
    ran = subprocess.run(["sh", "-c", curl], cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["answer"] == tab.words()
    pytest.importorskip("openai", reason="the openai client is not installed")
    script = tab.page.inner_text("[data-form=Python] pre")
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-1000:]
    assert ran.stdout.strip() == tab.words()


def test_axe_finds_nothing_serious(tab: Tab, files: list[Path]) -> None:
    choose(tab, files)
    tab.ask(QUESTION)
    tab.done()
    assert finding(tab.page) == []


def test_a_stopped_worker_is_shown_and_cancel_and_recovery_work(
    tab: Tab, served: Served, files: list[Path]
) -> None:
    """Stopped, not killed: the launcher starts a killed one again before anybody could look."""
    tab.expected = REFUSED
    choose(tab, files)
    workers = served.children("worker")
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        tab.page.get_by_text("No worker", exact=True).wait_for(timeout=30_000)
        assert "No worker is taking asks" in tab.page.inner_text("#notice")
        tab.page.click(".more summary")
        tab.page.fill("#rest-top-timeout_seconds", "2")
        tab.ask("what is in image 1 ?")
        tab.done(20)
        assert re.search("Time was up|Nothing is there", tab.page.inner_text(".trouble strong"))
        tab.page.fill("#rest-top-timeout_seconds", "60")
        before = cancelled(served)
        tab.page.click("#go")
        tab.page.get_by_text("Next in line").wait_for()
        tab.page.click("#stop")
        tab.done()
        assert tab.page.inner_text(".phase") == "Cancelled"
        wait_until(lambda: cancelled(served) > before, 10, "the service cancels the ask")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    tab.page.get_by_text("Ready", exact=True).wait_for(timeout=30_000)
    assert tab.page.locator("#notice").is_hidden()
    tab.page.click("#go")
    tab.done()
    assert tab.page.locator(".trouble").count() == 0


def test_a_stopped_store_is_shown(tab: Tab, served: Served, files: list[Path]) -> None:
    tab.expected = REFUSED
    choose(tab, files)
    tab.stored(len(files))
    stores = served.stores()
    assert len(stores) == 1
    os.kill(stores[0], signal.SIGSTOP)
    try:
        tab.page.get_by_text("Store away", exact=True).wait_for(timeout=30_000)
        assert "Redis" in tab.page.inner_text("#notice")
        tab.ask(QUESTION)
        tab.done(30)
        assert "Nothing is there to answer" in tab.page.inner_text(".trouble")
    finally:
        os.kill(stores[0], signal.SIGCONT)
    tab.page.get_by_text("Ready", exact=True).wait_for(timeout=30_000)


def cancelled(served: Served) -> float:
    text = httpx.get(f"{served.address}/metrics").text
    found = re.search(r'^myopia_jobs\{state="cancelled"\} (\S+)', text, re.MULTILINE)
    assert found is not None
    return float(found[1])
