"""`python -m tests.system.screenshots` writes docs/img/page*.png, seen on the whole stack."""

import tempfile
from pathlib import Path
from typing import Any

from tests.system.browsing import PHONE, chromium, opened
from tests.system.serving import ROOT, serving

FOLDER = ROOT / "docs" / "img"
DESK = {"viewport": {"width": 1440, "height": 1080}}
# Name, the browser's options, which example, what it is compared with.
SHOTS: tuple[tuple[str, dict[str, Any], int, str], ...] = (
    ("page", DESK, 0, "full"),
    ("page-dark", {**DESK, "color_scheme": "dark"}, 0, "gamma"),
    ("page-phone", PHONE, 0, "none"),
)


def main() -> None:
    """Ask an example on each kind of screen and keep what one sees."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
        for name, options, example, other in SHOTS:
            with chromium() as browser, opened(browser, served.address, **options) as tab:
                page = tab.page
                page.get_by_text("Ready", exact=True).wait_for()
                page.locator(".example").nth(example).click()
                page.locator(f"#compare input[value={other}] + span").click()
                page.click("#go")
                page.wait_for_selector("#kept:not([hidden])")
                page.evaluate("document.querySelector('.ask').scrollTop = 0")
                if options is PHONE:
                    page.evaluate("document.querySelector('.profiles').scrollIntoView()")
                    page.evaluate("scrollBy(0, -120)")
                page.wait_for_timeout(500)
                page.screenshot(path=FOLDER / f"{name}.png")
                print(f"{name}.png: {tab.words()}")


if __name__ == "__main__":
    main()
