"""A real Chromium for tests of the page: opens it, feeds it pictures, keeps its complaints."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
REFUSED = ("Failed to load resource",)  # Chromium logs each answer that is not 2xx
DROP = """([files, target]) => {
  const carried = new DataTransfer();
  for (const {name, data} of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name, {type: "image/png"}));
  }
  const node = document.querySelector(target);
  const open = {bubbles: true, cancelable: true};
  for (const kind of ["dragenter", "dragover", "drop"])
    node.dispatchEvent(new DragEvent(kind, {dataTransfer: carried, ...open}));
}"""


@dataclass
class Tab:
    """One open page and every complaint of its console; `expected` may be complained of."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def hear(self, words: str) -> None:
        self.complaints.append(words)

    def ask(self, question: str) -> None:
        self.page.fill("#question", question)
        self.page.click("#go")

    def words(self, card: int = 0) -> str:
        return str(self.page.locator(".card .words").nth(card).inner_text())

    def done(self, seconds: float = 60) -> None:
        self.page.wait_for_selector("#stop[hidden]", state="attached", timeout=seconds * 1000)

    def names(self) -> list[str]:
        found = self.page.locator(".tile:not(.add) .grip")
        labels = found.evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
        return [label.split(": ")[1].split(". ")[0] for label in labels]

    def stored(self, count: int) -> None:
        """Wait until so many pictures are there and none is on its way to the store."""
        script = "n => document.querySelectorAll('.tile:not(.add):not(.busy)').length === n"
        self.page.wait_for_function(script, arg=count)

    def pixels(self, at: int = 0) -> bytes:
        script = "node => node.toDataURL('image/png')"
        return str(self.page.locator(".view canvas").nth(at).evaluate(script)).encode()


@contextmanager
def chromium() -> Iterator[Any]:
    """The machine's Chromium, or a skip that says how to get one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def window(browser: Any, **options: Any) -> Iterator[Any]:
    """An empty page in a context of its own."""
    options = {"viewport": {"width": 1440, "height": 900}, **options}
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@contextmanager
def visit(page: Any, address: str, path: str = "/") -> Iterator[Tab]:
    """The page as it opens; fails at the end when the console complained."""
    tab = Tab(page)
    listeners = {
        "console": lambda said: said.type == "error" and tab.hear(said.text),
        "pageerror": lambda error: tab.hear(str(error)),
    }
    page.goto("about:blank")
    for kind, hear in listeners.items():
        page.on(kind, hear)
    page.goto(address + path)
    page.wait_for_selector("html[data-open]", state="attached")
    # A connection that broke on the way in was mended by the page itself, which loads once more.
    tab.complaints = [said for said in tab.complaints if "net::ERR_" not in said]
    yield tab
    for kind, hear in listeners.items():
        page.remove_listener(kind, hear)
    told = [said for said in tab.complaints if not any(part in said for part in tab.expected)]
    if told:
        pytest.fail(f"the console complained: {told}")


@contextmanager
def opened(browser: Any, address: str, path: str = "/", **options: Any) -> Iterator[Tab]:
    """A visit in a context of its own."""
    with window(browser, **options) as page, visit(page, address, path) as tab:
        yield tab


def pictures(folder: Path, count: int, size: tuple[int, int] = (96, 64)) -> list[Path]:
    """Drawn pictures named a.png, b.png, …"""
    chance = random.Random(7)
    made = []
    for at in range(count):
        image = Image.new("RGB", size, (240 - 20 * at, 200, 120 + 20 * at))
        brush = ImageDraw.Draw(image)
        for _ in range(12):
            x, y, r = chance.randrange(size[0]), chance.randrange(size[1]), chance.randrange(4, 20)
            color = tuple(chance.randrange(256) for _ in range(3))
            brush.ellipse((x - r, y - r, x + r, y + r), fill=color)
        path = folder / f"{chr(97 + at)}.png"
        image.save(path)
        made.append(path)
    return made


def sent_by(tab: Tab) -> list[dict[str, Any]]:
    """Params of every ask from now on, as they go over the wire."""
    heard: list[dict[str, Any]] = []

    def hear(request: Any) -> None:
        if request.method == "POST" and request.url.endswith("/v1/ask"):
            body = request.post_data_buffer.decode(errors="replace")
            found = re.search(r'name="params"\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
            heard.append(json.loads(found[1] if found else body))

    tab.page.on("request", hear)
    return heard


def figure(tab: Tab, name: str) -> str:
    return str(tab.page.inner_text(f"[data-figure='{name}'] dd")).replace("\n", " ")


def kept_share(tab: Tab, card: int = 0) -> float:
    text = tab.page.locator(".memory p > b").nth(card).inner_text()
    return float(text.removesuffix(" %")) / 100


def finding(browser_page: Any) -> list[str]:
    """What axe-core finds of impact serious or critical, as `rule: selector`."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    told = axe.Axe().run(browser_page).response["violations"]
    serious = [one for one in told if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']}" for one in serious for node in one["nodes"]]
