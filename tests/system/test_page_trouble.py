"""The page in trouble: a key is wanted, an ask is refused, something is down, a file is missing."""

from pathlib import Path
from typing import Any

import pytest

from tests.system.browsing import REFUSED, Tab, opened, window
from tests.system.fake_gateway import Script


def test_a_wanted_key_is_asked_for_and_used(
    browser: Any, gateway: tuple[str, Script], script: Script, files: list[Path]
) -> None:
    script.key = "myo_secret"
    with opened(browser, gateway[0]) as tab:
        tab.expected = REFUSED
        tab.page.set_input_files("#files", files[:2])
        tab.page.fill("#key-field", "myo_secret")
        tab.page.click("#key .go")
        tab.stored(2)
        tab.ask("which ?")
        tab.done()
        assert tab.words() == "2"
        tab.page.click("#share-open")
        assert "$MYOPIA_KEY" in tab.page.inner_text("#share-body")
        assert "myo_secret" not in tab.page.inner_text("#share-body")


@pytest.mark.parametrize(
    ("told", "words", "marked"),
    [
        (
            {"status": 422, "code": "bad_request", "detail": "/pruning/budget: too low.",
             "field": "/pruning/budget"},
            "Something in the ask is not right",
            "#budget-a[aria-invalid=true]",
        ),
        (
            {"status": 429, "code": "overloaded", "detail": "Too many asks are waiting."},
            "Ask again in a moment",
            ".trouble",
        ),
        (
            {"status": 503, "code": "unavailable", "detail": "The store does not answer."},
            "Start a worker (or Redis) again",
            ".trouble",
        ),
        ({"status": 500, "code": "surprise", "detail": "Odd."}, "Odd.", ".trouble"),
    ],
    ids=["field", "overloaded", "store", "unknown"],
)  # fmt: skip
def test_errors_say_what_to_do(
    tab: Tab, script: Script, files: list[Path], told: dict[str, Any], words: str, marked: str
) -> None:
    tab.expected = REFUSED
    script.problem = told
    tab.page.set_input_files("#files", files[:2])
    tab.ask("which ?")
    tab.done()
    assert words in tab.page.inner_text(".trouble")
    assert tab.page.locator(marked).count() == 1


@pytest.mark.parametrize(
    ("detail", "short", "long"),
    [
        ("No worker would take an ask up now.", "No worker", "No worker is taking asks"),
        ("The store of asks does not answer.", "Store away", "Redis"),
    ],
    ids=["worker", "store"],
)
def test_what_is_down_is_shown_and_its_return_too(
    tab: Tab, script: Script, detail: str, short: str, long: str
) -> None:
    tab.expected = REFUSED
    script.ready = {"detail": detail}
    tab.page.reload()
    tab.page.get_by_text(short, exact=True).wait_for()
    assert long in tab.page.inner_text("#notice")
    script.ready = None
    tab.page.get_by_text("Ready", exact=True).wait_for()
    assert tab.page.locator("#notice").is_hidden()


def test_nothing_is_sent_without_pictures_or_question(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    tab.page.click("#go")
    assert "at least one picture" in tab.page.inner_text("#estimate")
    assert tab.page.evaluate("document.activeElement.id") == "drop"
    tab.page.set_input_files("#files", files[:1])
    tab.page.click("#go")
    assert "Write a question" in tab.page.inner_text("#estimate")
    assert not script.asked


def test_what_is_missing_stays_told_when_an_estimate_was_on_its_way(
    tab: Tab, script: Script
) -> None:
    """Whoever presses at once, before the estimate of the last change was shown, reads why not."""
    tab.page.fill("#question", "?")
    tab.page.fill("#question", "")
    tab.page.click("#go")
    tab.page.wait_for_timeout(700)  # longer than an estimate waits
    assert "at least one picture" in tab.page.inner_text("#estimate")
    assert not script.asked


def test_what_is_missing_stays_told_when_a_picture_is_stored_later(
    tab: Tab, files: list[Path]
) -> None:
    kept: list[Any] = []

    def hold(route: Any) -> None:
        kept.append(route)

    tab.page.route("**/v1/images", hold)
    tab.page.set_input_files("#files", files[:2])
    tab.page.wait_for_timeout(700)  # longer than an estimate waits
    assert kept
    tab.page.click("#go")
    for route in kept:
        route.continue_()
    tab.stored(2)
    tab.page.wait_for_timeout(700)
    assert "Write a question" in tab.page.inner_text("#estimate")
    tab.page.fill("#question", "which?")
    tab.page.get_by_text("picture tokens").wait_for()
    assert "Write a question" not in tab.page.inner_text("#estimate")


@pytest.mark.parametrize("failures", [1, 9], ids=["once", "always"])
def test_a_part_that_does_not_arrive_is_loaded_again_or_told_of(
    browser: Any, gateway: tuple[str, Script], script: Script, failures: int
) -> None:
    left = [failures]

    def fetch(route: Any) -> None:
        left[0] -= 1
        route.abort() if left[0] >= 0 else route.continue_()

    with window(browser) as page:
        page.route("**/web/run.js", fetch)
        page.goto(gateway[0])
        if failures == 1:
            page.wait_for_selector("html[data-open]", state="attached")
        else:
            page.get_by_text("The page did not arrive whole").wait_for()
