"""The page asks and answers: knobs, estimate, stream, figures, two settings, what was kept."""

from pathlib import Path

from tests.system.browsing import Tab
from tests.system.fake_gateway import Script
from wire.pruning import Pruning

MEMORY = ["KV", "kept", "52", "kB", "of", "262", "kB", "20", "%"]


def test_knobs_and_the_folded_rest_change_the_request(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.select_option("#policy-a", "snapkv")
    tab.page.locator("#budget-a").fill("0.35")
    tab.page.locator("#gamma-a-exact").fill("2.2")
    tab.page.locator("#alpha-a").focus()
    tab.page.keyboard.press("ArrowRight")
    tab.page.click(".more summary")
    tab.page.fill("#rest-generation-max_tokens", "7")
    tab.page.fill("#rest-top-options", "1, 2")
    tab.page.select_option("#rest-pruning-bin_mode", "off")
    assert tab.page.inner_text("#more-count") == "3 changed"
    tab.ask("which ?")
    tab.done()
    body = script.asked[-1]
    assert body["pruning"] == {
        "policy": "snapkv",
        "budget": 0.35,
        "gamma": 2.2,
        "alpha": 0.55,
        "bin_mode": "off",
    }
    assert body["generation"] == {"max_tokens": 7}
    assert body["options"] == ["1", "2"]
    assert body["explain"] is True
    tab.page.click("#reset")
    tab.page.click("#go")
    tab.done()
    default = {"policy": "myopia", "budget": 0.2, "gamma": 1, "alpha": 0.5}
    assert script.asked[-1]["pruning"] == default
    assert "generation" not in script.asked[-1]


def test_the_answer_streams_and_a_broken_stream_goes_on(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    script.answer, script.token_seconds, script.break_once = "one two three four", 0.15, True
    tab.page.set_input_files("#files", files[:2])
    tab.ask("which ?")
    tab.page.wait_for_function("() => document.querySelector('.words').textContent === 'one'")
    assert tab.page.locator(".words.live").count() == 1
    tab.done()
    assert tab.words() == "one two three four"
    assert not script.break_once
    assert tab.page.locator(".words.live").count() == 0


def test_the_place_in_line_is_shown_and_cancel_tells_the_service(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    script.wait_seconds, script.line = 20, ((3, 7.5),)
    tab.page.set_input_files("#files", files[:2])
    tab.ask("which ?")
    tab.page.get_by_text("Number 3 in line").wait_for()
    assert "about 8 s" in tab.page.inner_text(".card .wait")
    tab.page.click("#stop")
    tab.done()
    assert tab.page.inner_text(".phase") == "Cancelled"
    tab.page.wait_for_timeout(200)
    assert script.cancelled == ["ask_fake0001"]


def test_two_settings_side_by_side(tab: Tab, script: Script, files: list[Path]) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.get_by_text("Full cache").click()
    tab.ask("which ?")
    tab.done()
    policies = sorted(body["pruning"]["policy"] for body in script.asked)
    assert policies == ["full", "myopia"]
    assert tab.page.inner_text("#verdict strong") == "Same answer"
    assert "A holds 20 % and B 100 %" in tab.page.inner_text("#verdict")
    assert tab.page.locator(".view canvas").count() == 4
    assert tab.pixels(0) != tab.pixels(1)
    tab.page.locator("#gamma-a").fill("1.8")
    assert tab.page.locator("[data-choice=gamma]").inner_text() == "Gamma 1"
    tab.page.get_by_text("Gamma 1", exact=True).click()
    tab.page.click("#go")
    tab.done()
    assert sorted(body["pruning"]["gamma"] for body in script.asked[-2:]) == [1, 1.8]
    tab.page.get_by_text("My own…").click()
    tab.page.locator("#budget-b").fill("0.6")
    tab.page.click("#go")
    tab.done()
    assert sorted(body["pruning"]["budget"] for body in script.asked[-2:]) == [0.2, 0.6]


def test_overlay_follows_budget_layers_and_view(tab: Tab, files: list[Path]) -> None:
    tab.page.set_input_files("#files", files[:2])
    seen = set()
    for budget in ("0.1", "0.5"):
        tab.page.locator("#budget-a").fill(budget)
        tab.ask("which ?")
        tab.done()
        tab.page.wait_for_selector("#kept:not([hidden])")
        seen.add(tab.pixels())
    tab.page.locator("#layer-group").fill("2")
    seen.add(tab.pixels())
    for view in ("heat", "picture"):
        tab.page.locator(f"input[value={view}] + span").click()
        seen.add(tab.pixels())
    assert len(seen) == 5
    assert tab.page.locator(".view canvas").first.get_attribute("aria-label")


def test_the_help_of_the_knobs_is_that_of_openapi_and_the_rest_is_folded(tab: Tab) -> None:
    for name in ("policy", "budget", "gamma", "alpha"):
        said = Pruning.model_fields[name].description
        assert said is not None
        assert tab.page.inner_text(f"#{name}-a-help") == said.replace("`", "")
    folded = tab.page.locator("#rest-pruning-bin_mode")
    assert folded.is_hidden()
    tab.page.click(".more summary")
    assert folded.is_visible()


def test_tokens_and_kv_are_estimated_while_one_types(
    tab: Tab, script: Script, files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.locator("#question").press_sequentially("which one ?")
    tab.page.get_by_text("128 picture tokens · 14 text · KV 52 kB of 262 kB").wait_for()
    assert "starts in about 3 s" in tab.page.inner_text("#estimate")
    tab.page.locator("#budget-a").fill("0.5")
    tab.page.get_by_text("KV 131 kB of 262 kB").wait_for()
    assert not script.asked


def test_what_the_answer_cost_is_shown_plainly(tab: Tab, script: Script, files: list[Path]) -> None:
    script.answer = "one two three four"
    tab.page.set_input_files("#files", files[:2])
    tab.ask("which ?")
    tab.done()
    shown = tab.page.locator(".figures > div").all_inner_texts()
    assert [text.split() for text in shown] == [
        ["First", "token", "41", "ms"],
        ["Speed", "55", "tokens/s"],
        ["Picture", "tokens", "26", "of", "128", "+", "4", "bins"],
        ["Cache", "Miss", "computed", "now"],
        ["Total", "96", "ms"],
    ]
    assert tab.page.inner_text(".memory p").split() == MEMORY
    script.cache = "hit"
    tab.page.click("#go")
    tab.done()
    hit = tab.page.inner_text("[data-figure=Cache] dd").split()
    assert hit == ["Hit", "answered", "before"]


def test_bars_show_the_share_of_attention_before_and_after_the_subsidy(
    tab: Tab, files: list[Path]
) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.locator("#gamma-a").fill("1.8")
    tab.ask("which ?")
    tab.done()
    chart = tab.page.locator(".chart").first
    said = "Picture 1: 80 % before, 55 % after; Picture 2: 20 % before, 45 % after"
    assert chart.get_attribute("aria-label") == said
    heights = "bars => bars.map((bar) => bar.getBoundingClientRect().height)"
    before = chart.locator(".before").evaluate_all(heights)
    after = chart.locator(".after").evaluate_all(heights)
    # Of 0.8 : 0.2 before and, with gamma 1.8, 4 : 3.24 after.
    assert [round(bar / before[0], 1) for bar in before + after] == [1.0, 0.2, 0.7, 0.6]


def test_the_service_may_choose_the_budget(tab: Tab, script: Script, files: list[Path]) -> None:
    tab.page.set_input_files("#files", files[:2])
    tab.page.click(".more summary")
    tab.page.fill("#rest-pruning-target_agreement", "0.9")
    tab.page.check("#budget-a-auto")
    assert tab.page.is_disabled("#budget-a")
    tab.page.get_by_text("KV at most 262 kB").wait_for()
    tab.page.get_by_text("Full cache").click()
    tab.ask("which ?")
    tab.done()
    asked = sorted((body["pruning"] for body in script.asked), key=lambda told: told["policy"])
    assert [(told["budget"], told.get("target_agreement")) for told in asked] == [
        (1, None),
        ("auto", 0.9),
    ]
    assert "Budget 0.1: enough here" in tab.page.inner_text(".card.a")
    tab.page.uncheck("#budget-a-auto")
    tab.page.locator("#compare label").first.click()
    tab.page.click("#go")
    tab.done()
    told = script.asked[-1]["pruning"]
    assert (told["budget"], told.get("target_agreement")) == (0.2, None)
