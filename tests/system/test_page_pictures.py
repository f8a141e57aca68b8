"""The page takes pictures in: by every way, in any order, up to 64, and says which are no use."""

import base64
import json
from pathlib import Path
from typing import Any

from service import page
from tests.system.browsing import (
    DROP,
    PHONE,
    REFUSED,
    Tab,
    opened,
)
from tests.system.fake_gateway import Script


def test_drop_paste_and_chooser_take_pictures_in(tab: Tab, files: list[Path]) -> None:
    carried = [
        {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()} for path in files
    ]
    tab.page.evaluate(DROP, [carried[:1], "body"])
    paste = DROP.replace('["dragenter", "dragover", "drop"]', '["paste"]').replace(
        "new DragEvent(kind, {dataTransfer: carried",
        "new ClipboardEvent(kind, {clipboardData: carried",
    )
    tab.page.evaluate(paste, [carried[1:2], "body"])
    with tab.page.expect_file_chooser() as chooser:
        tab.page.get_by_role("button", name="Add pictures").click()
    chooser.value.set_files(files[2:])
    assert tab.names() == ["a.png", "b.png", "c.png", "d.png"]
    assert tab.page.locator("#veil").is_hidden()


def test_reorder_by_mouse_and_keys_changes_the_ask(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files)
    tab.stored(4)
    grips = tab.page.locator(".tile:not(.add) .grip")
    grips.nth(0).drag_to(grips.nth(2), steps=6)
    assert tab.names() == ["b.png", "c.png", "a.png", "d.png"]
    grips.nth(3).focus()
    for key in ("ArrowLeft", "Home", "ArrowRight"):
        tab.page.keyboard.press(key)
    assert tab.names() == ["b.png", "d.png", "c.png", "a.png"]
    tab.page.keyboard.press("Delete")
    assert tab.names() == ["b.png", "c.png", "a.png"]
    tab.ask("which ?")
    tab.done()
    names = {name: data for name, (data, _) in script.pictures.items()}
    sent = [names[item["id"]] for item in script.asked[-1]["images"]]
    assert sent == [files[at].read_bytes() for at in (1, 2, 0)]


def test_a_resting_finger_reorders_and_a_swipe_does_not(
    browser: Any, gateway: tuple[str, Script], script: Script, files: list[Path]
) -> None:
    with opened(browser, gateway[0], **PHONE) as tab:
        tab.page.set_input_files("#files", files[:3])
        tab.stored(3)
        boxes = [tab.page.locator(".tile").nth(at).bounding_box() for at in (0, 2)]
        start, end = [
            {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2} for box in boxes
        ]
        finger = tab.page.context.new_cdp_session(tab.page)
        for rest_ms, order in ((0, "abc"), (400, "bca")):
            touch(tab, finger, [start, {"x": start["x"] + 20, "y": start["y"]}, end], rest_ms)
            assert tab.names() == [f"{letter}.png" for letter in order]


def touch(tab: Tab, finger: Any, path: list[dict[str, float]], rest_ms: int) -> None:
    send = "Input.dispatchTouchEvent"
    finger.send(send, {"type": "touchStart", "touchPoints": path[:1]})
    tab.page.wait_for_timeout(rest_ms)
    for point in path[1:]:
        finger.send(send, {"type": "touchMove", "touchPoints": [point]})
        tab.page.wait_for_timeout(30)
    finger.send(send, {"type": "touchEnd", "touchPoints": []})


def test_at_most_64_pictures_and_only_pictures(tab: Tab, files: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    tab.page.set_input_files("#files", [*files, text])
    assert "1 file left out, not a picture" in tab.page.inner_text("#left-out")
    tab.page.set_input_files("#files", files * 16)
    assert len(tab.names()) == 64
    assert "4 left out, 64 is the most" in tab.page.inner_text("#left-out")
    assert tab.page.locator(".tile.add").is_hidden()


def test_a_picture_that_the_store_lost_is_sent_again(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    tab.expected = REFUSED
    tab.page.set_input_files("#files", files[:2])
    tab.stored(2)
    script.pictures.clear()
    script.problem = {"status": 422, "code": "bad_image", "detail": "Gone.", "image_index": 1}
    tab.ask("which ?")
    tab.done()
    script.problem = None
    tab.stored(2)
    assert len(script.pictures) == 1
    tab.page.click("#go")
    tab.done()
    assert tab.words() == "2"


def test_an_unreadable_picture_is_named_before_asking(
    tab: Tab, script: Script, files: list[Path], tmp_path: Path
) -> None:
    tab.expected = REFUSED
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a png")
    tab.page.set_input_files("#files", [files[0], broken])
    tab.page.locator(".tile.fault").wait_for()
    assert "Picture 2" in tab.page.inner_text("#faults")
    tab.ask("which ?")
    assert "Picture 2 cannot be used" in tab.page.inner_text("#estimate")
    assert not script.asked


def test_an_example_is_one_click_away(tab: Tab, script: Script) -> None:
    offered = json.loads((page.FOLDER / "examples" / "index.json").read_text())
    assert tab.page.locator(".example").count() == len(offered) == 3
    for at, example in enumerate(offered):
        tab.page.locator(".example").nth(at).click()
        tab.stored(len(example["files"]))
        assert tab.names() == example["files"]
        assert tab.page.input_value("#question") == example["question"]
        assert tab.page.evaluate("document.activeElement.id") == "go"
        tab.page.keyboard.press("Enter")
        tab.done()
        assert script.asked[-1]["question"] == example["question"]
        sent = [script.pictures[item["id"]][0] for item in script.asked[-1]["images"]]
        assert sent == [(page.FOLDER / "examples" / name).read_bytes() for name in example["files"]]
        tab.page.click("#clear")
