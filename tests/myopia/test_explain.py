"""What was kept, told in numbers and drawn over the picture's own pixels."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from myopia import explain as program
from myopia.explanation import explain_row, layer_groups, patch_grid
from myopia.figure import draw_shares
from myopia.layout import Layout, Span
from myopia.overlay import draw_kept
from myopia.params import Pruning
from myopia.pruning import prune_row
from tests.myopia.rows import make_layout, make_row
from tests.myopia.tiny import draw


def told(pruning: Pruning, **row: int) -> dict:  # type: ignore[type-arg]
    made = make_row(make_layout(), **row)
    observer = made.observed(pruning, explain=True)
    prune_row(made.layers, observer, made.layout, pruning)
    return explain_row(observer)


def test_patches_stand_where_their_pixels_are_and_newlines_nowhere() -> None:
    span = Span(10, (2, 2), (2, 4))  # 4 base tokens, then two rows of 4 and a newline each
    kept = torch.zeros(14)
    kept[4 + 5 + 2] = 1  # second row, third column of the tiles
    assert patch_grid(kept, span).tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
    kept[4 + 4] = kept[4 + 9] = 1  # newlines are no pixels
    assert float(patch_grid(kept, span).sum()) == 1
    kept[1] = 0.5  # upper right quarter of the base tile
    assert patch_grid(kept, span).tolist() == [[0, 0, 0.5, 0.5], [0, 0, 1, 0]]


def test_the_base_tile_alone_is_the_grid_and_a_finer_base_sets_it() -> None:
    assert patch_grid(torch.arange(4.0), Span(0, (2, 2), (0, 0))).tolist() == [[0, 1], [2, 3]]
    flat = patch_grid(torch.tensor([1.0, 0, 0, 0, 0.5, 0.25, 9]), Span(0, (2, 2), (1, 2)))
    assert flat.tolist() == [[1, 0.25], [0.5, 0.25]]


def test_numbers_add_up() -> None:
    pruning = Pruning(budget=0.4, subsidy="index", gamma=1.8)
    found = told(pruning, layers=6)
    layout = make_layout()
    assert [group["label"] for group in found["groups"]] == [
        "All layers", "Layers 1–2", "Layers 3–4", "Layers 5–6",
    ]  # fmt: skip
    kept = 21 - 5  # ceil(.4 * 51), a quarter of it bins
    for group in range(4):
        parts = [image["groups"][group] for image in found["images"]]
        assert sum(part["kept"] for part in parts) == pytest.approx(kept, abs=0.05)
        for name in ("before", "after"):
            assert sum(part[name] for part in parts) == pytest.approx(1, abs=1e-3)
        assert parts[-1]["after"] > parts[-1]["before"]  # the subsidy's very purpose
        assert sum(map(len, (part["bins"] for part in parts))) >= 5
    for image, span in zip(found["images"], layout.spans, strict=True):
        assert image["tokens"] == span.length
        assert image["newlines"]["tokens"] == 2
        grid = image["groups"][0]["grid"]
        assert (len(grid), len(grid[0])) == (3, 3)
        assert all(0 <= cell <= 1 for row in grid for cell in row)
    assert len(found["by_layer"]["before"]) == 6
    for row in found["by_layer"]["kept"]:
        assert sum(row) == pytest.approx(kept)
    json.dumps(found, allow_nan=False)


def test_a_quota_shows_as_what_each_image_was_given() -> None:
    """Quotas leave scores as they are: "after" must not repeat "before" as if nothing were done."""
    found = told(Pruning(budget=0.4, subsidy="quota", gamma=2.5), layers=2)
    parts = [image["groups"][0] for image in found["images"]]
    assert [part["before"] for part in parts] != [part["after"] for part in parts]
    kept = sum(part["kept"] for part in parts)
    for part in parts:
        assert part["after"] == pytest.approx(part["kept"] / kept, abs=2e-3)
    assert parts[-1]["after"] > parts[0]["after"]


def test_bin_sizes_are_the_pruned_tokens() -> None:
    found = told(Pruning(budget=0.4), layers=1)
    sizes = [size for image in found["images"] for size in image["groups"][0]["bins"]]
    assert sum(sizes) == 51 - 16


@pytest.mark.parametrize("name", ["random", "uniform", "streaming"])
def test_policies_that_see_no_attention_say_so(name: str) -> None:
    found = told(Pruning(policy=name, budget=0.3))
    assert found["images"][0]["groups"][0]["before"] is None
    assert found["by_layer"]["before"] == [None, None]
    assert found["images"][0]["groups"][0]["kept"] > 0


def test_ranks_are_not_passed_off_as_attention() -> None:
    found = told(Pruning(policy="h2o", budget=0.3))
    group = found["images"][0]["groups"][0]
    assert group["before"] == group["after"]
    assert 0 < group["before"] < 1


def test_nothing_pruned_is_everything_kept() -> None:
    found = told(Pruning(budget=1.0))
    assert found["images"][0]["groups"][0]["kept"] == 17
    assert found["images"][0]["groups"][0]["before"] is None


def test_it_costs_nothing_when_not_asked_for() -> None:
    row = make_row(make_layout())
    observer = row.observed(Pruning())
    prune_row(row.layers, observer, row.layout, Pruning())
    assert observer.trace is None
    with pytest.raises(ValueError, match="explain=True"):
        explain_row(observer)


def test_explaining_changes_nothing() -> None:
    row = make_row(make_layout())
    plain = prune_row(row.layers, row.observed(Pruning()), row.layout, Pruning())
    shown = prune_row(row.layers, row.observed(Pruning(), explain=True), row.layout, Pruning())
    for left, right in zip(plain, shown, strict=True):
        assert torch.equal(left.keys, right.keys)
        assert torch.equal(left.positions, right.positions)


def test_few_layers_are_one_group() -> None:
    assert layer_groups(2) == [("All layers", range(2))]
    assert [label for label, _ in layer_groups(4)] == [
        "All layers", "Layer 1", "Layer 2", "Layers 3–4",
    ]  # fmt: skip


def test_a_kept_patch_is_sharp_and_a_pruned_one_grey_and_dark() -> None:
    picture = Image.new("RGB", (80, 40), (200, 40, 40))
    drawn = draw_kept(picture, [[1.0, 0.0]], long_side=80)
    assert drawn.size == (80, 40)
    assert drawn.getpixel((15, 20)) == (200, 40, 40)
    red, green, blue = drawn.getpixel((65, 20))  # type: ignore[misc]
    assert red == green == blue
    assert red < 88 * 0.6  # the picture's own grey is 88
    assert drawn.getpixel((40, 20)) == (255, 176, 32)  # the border between them


def test_a_ragged_grid_is_refused() -> None:
    for grid in ([], [[]], [[1.0], [1.0, 0.0]]):
        with pytest.raises(ValueError, match="rows of one length"):
            draw_kept(Image.new("RGB", (8, 8)), grid)


def test_the_figure_has_a_line_for_every_layer() -> None:
    shares = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]]
    drawn = draw_shares(shares, "shares")
    seen = {color for _, color in drawn.getcolors(10**6) or []}
    assert {(36, 71, 168), (138, 102, 104), (240, 132, 40)} <= seen
    with pytest.raises(ValueError, match="one number per image"):
        draw_shares([[0.5, 0.5], [1.0]], "shares")
    draw_shares([[1.0]], "one image, one layer")


def test_the_program_writes_figure_overlays_and_numbers(
    mistral_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = []
    for seed, size in ((1, (300, 200)), (2, (60, 60))):
        names.append(str(tmp_path / f"{seed}.png"))
        draw(seed, *size).save(names[-1])
    out = tmp_path / "out"
    asked = ["--question", "what is it?", "--model", str(mistral_folder), "--max-tokens", "2"]
    assert program.main([*names, *asked, "--out", str(out), "--budget", "0.1"]) == 0
    numbers = json.loads((out / "explain.json").read_text())
    assert [image["tokens"] for image in numbers["images"]] == [1464, 1176]
    assert Image.open(out / "attention.png").size == (880, 520)
    assert Image.open(out / "kept-1.png").size == (768, 512)
    assert "answer:" in capsys.readouterr().out


def test_the_program_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_text("no picture")
    assert program.main([str(tmp_path / "a.png"), "--question", "?"]) == 2
    assert program.main([str(tmp_path / "none.png"), "--question", "?"]) == 2
    draw(1).save(tmp_path / "b.png")
    wrong = [str(tmp_path / "b.png"), "--question", "?", "--policy", "h2o", "--gamma", "2"]
    assert program.main([*wrong, "--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_pictures_of_several_forms_are_each_told_as_alone() -> None:
    forms = [((3, 3), (2, 3)), ((3, 3), (0, 0)), ((3, 3), (2, 3)), ((3, 3), (4, 2))]
    spans, at = [], 1
    for base, grid in forms:
        spans.append(Span(at, base, grid))
        at = spans[-1].stop + 1
    layout = Layout(at + 6, tuple(spans), tuple(range(at, at + 5)))
    row = make_row(layout, layers=5)
    observer = row.observed(Pruning(budget=0.4), explain=True)
    prune_row(row.layers, observer, layout, Pruning(budget=0.4))
    found = explain_row(observer)
    assert observer.trace is not None
    first = 0
    for image, span in zip(found["images"], spans, strict=True):
        kept = [layer.kept[first : first + span.length] for layer in observer.trace.layers]
        first += span.length
        ends = [position - span.start for position in span.newline_positions()]
        assert image["newlines"]["tokens"] == len(ends)
        whole = torch.stack(kept).mean(0)
        assert image["newlines"]["kept"] == pytest.approx(float(whole[ends].sum()), abs=0.006)
        for part, group in zip(image["groups"], found["groups"], strict=True):
            own = [kept[layer] for layer in group["layers"]]
            grid = torch.stack([patch_grid(one, span) for one in own]).mean(0)
            torch.testing.assert_close(torch.tensor(part["grid"]), grid, atol=6e-4, rtol=0)
            total = float(torch.stack(own).mean(0).sum())
            assert part["kept"] == pytest.approx(total, abs=0.006)
        assert all(cell == round(cell, 3) for row in image["groups"][0]["grid"] for cell in row)
