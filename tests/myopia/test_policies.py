"""One list of demands that every policy meets, and how their knobs are refused."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia import budget
from myopia.errors import BadRequest
from myopia.evidence import Needs
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies import POLICIES, needs_of
from myopia.presets import PRESETS, preset
from myopia.pruning import prune_row
from tests.myopia.rows import Row, make_layout, make_row
from wire.pruning import PolicyName
from wire.pruning import Pruning as WirePruning

NAMES = sorted(POLICIES)
LAYOUT = make_layout()
ROW = make_row(LAYOUT)
BUDGETS = [0.02, 0.2, 0.5, 0.9]


def positions_of(row: Row, pruning: Pruning, chunk: int | None = None) -> list[torch.Tensor]:
    found = prune_row(row.layers, row.observed(pruning, chunk=chunk), row.layout, pruning)
    return [survivors.positions for survivors in found]


def test_the_wire_and_the_table_name_the_same_policies() -> None:
    assert set(PolicyName.__args__) == set(POLICIES)


def test_the_wire_and_the_library_have_the_same_pruning_fields_and_defaults() -> None:
    ours = {field.name: field.default for field in fields(Pruning)}
    assert ours == WirePruning().model_dump(exclude={"preset", "target_agreement"})


@pytest.mark.parametrize("name", NAMES)
def test_text_survives_and_every_image_keeps_a_token(name: str) -> None:
    for share in BUDGETS:
        for positions in positions_of(ROW, Pruning(policy=name, budget=share)):
            text = set(range(LAYOUT.length)) - set(LAYOUT.image_positions())
            for head in positions.tolist():
                assert text <= set(head)
                assert all(set(head) & set(range(s.start, s.stop)) for s in LAYOUT.spans)


@pytest.mark.parametrize("name", NAMES)
def test_positions_ascend_behind_the_bins_and_never_repeat(name: str) -> None:
    pruning = Pruning(policy=name, budget=0.4)
    for survivors in prune_row(ROW.layers, ROW.observed(pruning), LAYOUT, pruning):
        for head in survivors.positions:
            assert len(head.unique()) == len(head)
            assert bool((head[survivors.bins :].diff() > 0).all())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "full"])
@pytest.mark.parametrize("scope", ["visual", "total"])
def test_all_layers_together_hold_what_the_budget_pays_for(name: str, scope: str) -> None:
    for share in BUDGETS:
        pruning = Pruning(policy=name, budget=share, budget_scope=scope)
        found = prune_row(ROW.layers, ROW.observed(pruning), LAYOUT, pruning)
        text = LAYOUT.length - LAYOUT.image_tokens
        held = sum(survivors.keys.shape[1] - text for survivors in found)
        paid = max(budget.image_quota(LAYOUT, pruning), len(LAYOUT.spans)) * len(found)
        assert held == paid


@pytest.mark.parametrize("name", NAMES)
def test_budget_one_gives_back_the_same_tensors(name: str) -> None:
    pruning = Pruning(policy=name, budget=1.0)
    for survivors, (keys, values) in zip(
        prune_row(ROW.layers, ROW.observed(pruning), LAYOUT, pruning), ROW.layers, strict=True
    ):
        assert survivors.keys is keys
        assert survivors.values is values
        assert survivors.bias is None


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_images_is_left_alone(name: str) -> None:
    layout = Layout(length=7, spans=(), text_rows=())
    row = make_row(layout)
    pruning = Pruning(policy=name)
    for survivors, (keys, _) in zip(
        prune_row(row.layers, row.observed(pruning), layout, pruning), row.layers, strict=True
    ):
        assert survivors.keys is keys


@pytest.mark.parametrize("name", NAMES)
def test_chunks_of_the_prompt_do_not_change_the_choice(name: str) -> None:
    pruning = Pruning(policy=name, budget=0.3)
    whole = positions_of(ROW, pruning)
    for chunk in (7, 16):
        for left, right in zip(whole, positions_of(ROW, pruning, chunk), strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_finite_float32_over_the_image_tokens(name: str) -> None:
    pruning = Pruning(policy=name, budget=0.3)
    observer = ROW.observed(pruning)
    for layer in range(2):
        scores = POLICIES[name].score(observer.evidence(layer), LAYOUT, pruning)
        assert scores.dtype == torch.float32
        assert scores.shape[0] in {1, 2}
        assert scores.shape[1] == LAYOUT.image_tokens
        assert bool(torch.isfinite(scores).all())
        if POLICIES[name].graded:
            assert bool((scores >= 0).all())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "look-m"])  # it merges
def test_kept_keys_are_the_prompts_own_at_their_positions(name: str) -> None:
    pruning = Pruning(policy=name, budget=0.3)
    for survivors, (keys, values) in zip(
        prune_row(ROW.layers, ROW.observed(pruning), LAYOUT, pruning), ROW.layers, strict=True
    ):
        rows = survivors.positions[0, survivors.bins :]
        assert torch.equal(survivors.keys[:, survivors.bins :], keys[:, rows])
        assert torch.equal(survivors.values[:, survivors.bins :], values[:, rows])


@pytest.mark.parametrize("name", [n for n in NAMES if "head_mode" in POLICIES[n].knobs])
def test_heads_choose_for_themselves_where_asked(name: str) -> None:
    pruning = Pruning(policy=name, budget=0.3, head_mode="wise")
    found = prune_row(ROW.layers, ROW.observed(pruning), LAYOUT, pruning)
    assert all(survivors.positions.shape[0] == 2 for survivors in found)
    assert any(not torch.equal(s.positions[0], s.positions[1]) for s in found)
    for survivors, (keys, _) in zip(found, ROW.layers, strict=True):
        for head in range(2):
            if name != "look-m":
                rows = survivors.positions[head, survivors.bins :]
                assert torch.equal(survivors.keys[head, survivors.bins :], keys[head, rows])


def test_heads_of_their_own_need_a_policy_that_has_them() -> None:
    refused = {"full", "fastv", "prefixkv", "airv", "random", "uniform", "streaming"}
    assert {n for n in NAMES if "head_mode" not in POLICIES[n].knobs} == refused
    for name in refused:
        with pytest.raises(BadRequest) as caught:
            budget.check(Pruning(policy=name, head_mode="wise"))
        assert caught.value.field == "/pruning/head_mode"


@pytest.mark.parametrize(
    ("knob", "value", "policy"),
    [
        ("gamma", 2.0, "h2o"),
        ("alpha", 0.1, "snapkv"),
        ("subsidy", "exp", "fastv"),
        ("bin_tokens", 3, "random"),
        ("bin_mode", "paper", "look-m"),
        ("bin_scope", "global", "vl-cache"),
        ("min_per_image", 9, "uniform"),
        ("merge", "weighted", "myopia"),
    ],
)
def test_a_knob_that_the_policy_lacks_is_refused_by_name(
    knob: str, value: object, policy: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        budget.check(Pruning(policy=policy, **{knob: value}))  # type: ignore[arg-type]
    assert caught.value.field == f"/pruning/{knob}"


def test_unknown_names_are_refused() -> None:
    for field, pruning in {
        "policy": Pruning(policy="best"),
        "subsidy": Pruning(subsidy="linear"),
    }.items():
        with pytest.raises(BadRequest) as caught:
            budget.check(pruning)
        assert caught.value.field == f"/pruning/{field}"


def test_bins_above_the_kept_tokens_are_refused_and_the_default_adapts() -> None:
    with pytest.raises(BadRequest) as caught:
        budget.check(Pruning(budget=0.2, bin_tokens=60), LAYOUT)
    assert caught.value.field == "/pruning/bin_tokens"
    assert caught.value.limit == 11
    budget.check(Pruning(budget=0.2), LAYOUT)


def test_nothing_is_seen_that_is_not_needed() -> None:
    assert not needs_of(Pruning(alpha=1.0)).columns
    assert not needs_of(Pruning(alpha=0.0)).text
    assert not needs_of(Pruning(budget=1.0)).columns
    for name in ("full", "random", "uniform", "streaming"):
        needs = needs_of(Pruning(policy=name))
        assert needs == Needs()


def test_presets_are_knobs_that_pass_the_checks() -> None:
    assert preset("default") == Pruning()
    assert preset("paper").bin_mode == "paper"
    for pruning in PRESETS.values():
        budget.check(pruning, LAYOUT)
    with pytest.raises(BadRequest, match="default, paper"):
        preset("best")


@settings(max_examples=30, deadline=None)
@given(columns=st.floats(1e-3, 1e3), text=st.floats(1e-3, 1e3), alpha=st.floats(0, 1))
def test_policies_scores_of_myopia_do_not_depend_on_the_scale_of_either_part(
    columns: float, text: float, alpha: float
) -> None:
    pruning = Pruning(alpha=alpha)
    seen = ROW.observed(Pruning()).evidence(0)
    assert seen.columns is not None
    assert seen.text is not None
    scaled = replace(seen, columns=seen.columns * columns, text=seen.text * text)
    policy = POLICIES["myopia"]
    torch.testing.assert_close(
        policy.score(scaled, LAYOUT, pruning), policy.score(seen, LAYOUT, pruning)
    )
