"""The page for everybody: shared by link, worked by keyboard, read by axe, light on the wire."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.system.browsing import (
    PHONE,
    REFUSED,
    Tab,
    finding,
    opened,
)
from tests.system.fake_gateway import Script

TRIES = 4


def test_share_as_link_curl_and_python(
    tab: Tab, browser: Any, gateway: tuple[str, Script], files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files[:3])
    tab.page.locator("#budget-a").fill("0.4")
    tab.page.get_by_text("Gamma 1.8").click()
    tab.page.fill("#question", "what's “in” the 3rd?\nsay \\ it")
    tab.page.click("#share-open")
    forms = {
        name: tab.page.locator(f"[data-form={name}] pre").inner_text()
        for name in ("Link", "curl", "Python")
    }
    body = re.search(r"-d '(.*)'", forms["curl"], re.DOTALL)
    assert body is not None
    said = json.loads(body[1].replace("'\\''", "'"))
    assert said["question"] == "what's “in” the 3rd?\nsay \\ it"
    assert len(said["images"]) == 3
    compile(forms["Python"], "shared", "exec")
    with opened(browser, gateway[0], forms["Link"].removeprefix(gateway[0])) as other:
        other.stored(3)
        assert other.names() == ["a.png", "b.png", "c.png"]
        assert other.page.input_value("#question") == said["question"]
        assert other.page.input_value("#budget-a") == "0.4"
        assert other.page.is_checked("#compare input[value=gamma]")


def test_a_link_whose_pictures_are_gone_says_so(
    tab: Tab, browser: Any, gateway: tuple[str, Script], script: Script, files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.fill("#question", "which ?")
    tab.page.click("#share-open")
    link = tab.page.locator("[data-form=Link] pre").inner_text()
    script.pictures.clear()
    with opened(browser, gateway[0]) as other:
        other.expected = REFUSED
        other.page.goto(link)
        other.page.get_by_text("no longer keeps picture 1, 2").wait_for()


def test_everything_can_be_done_by_keyboard(tab: Tab, script: Script, files: list[Path]) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.stored(2)
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "question"
    tab.page.keyboard.type("which ?")
    tab.page.keyboard.press("Control+Enter")
    tab.done()
    assert script.asked[-1]["question"] == "which ?"
    reached = set()
    for _ in range(60):
        tab.page.keyboard.press("Tab")
        reached.add(tab.page.evaluate("document.activeElement.id"))
    assert {
        "policy-a",
        "budget-a",
        "gamma-a",
        "alpha-a",
        "go",
        "share-open",
        "layer-group",
    } <= reached


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_axe_finds_nothing_serious(
    browser: Any,
    gateway: tuple[str, Script],
    script: Script,
    files: list[Path],
    options: dict[str, Any],
) -> None:
    with opened(browser, gateway[0], **options) as tab:
        if not options:
            assert finding(tab.page) == []
        tab.page.set_input_files("#files", files[:2])
        tab.page.locator("#compare label").nth(3).click()
        tab.page.click(".more summary")
        tab.ask("which ?")
        tab.done()
        tab.page.wait_for_selector("#kept:not([hidden])")
        assert finding(tab.page) == []
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.page.evaluate(wide) <= 0
        if not options:
            tab.page.click("#share-open")
            assert finding(tab.page) == []


def test_the_first_view_is_light_and_quick(
    browser: Any, gateway: tuple[str, Script], script: Script
) -> None:
    views = [first_view(browser, gateway[0])]
    while views[-1][1] >= 1000 and len(views) < TRIES:  # other tests may be using the machine
        views.append(first_view(browser, gateway[0]))
    print("; ".join(f"{size / 1000:.0f} kB, usable after {usable} ms" for size, usable in views))
    assert max(size for size, _ in views) < 200_000
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if min(usable for _, usable in views) >= 1000 and load > 1.5 * cores:
        pytest.skip(f"{load:.0f} processes want {cores} cores: this second says nothing")
    assert min(usable for _, usable in views) < 1000


def first_view(browser: Any, address: str) -> tuple[int, int]:
    """Bytes that an empty browser fetched, and milliseconds until everything was wired."""
    sizes: list[int] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("requestfinished", lambda sent: sizes.append(sent.sizes()["responseBodySize"]))
    page.goto(address)
    page.wait_for_selector("html[data-open]", state="attached")
    page.wait_for_load_state("networkidle")
    usable = int(page.get_attribute("html", "data-open"))
    context.close()
    return sum(sizes), usable
