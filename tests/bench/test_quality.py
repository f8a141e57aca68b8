"""The measuring bench against stock transformers and itself: no leak, no slip of position."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.milebench.samples import Sample, load
from bench.pocketbench.writing import write_dataset
from bench.quality import grid
from bench.quality.answering import Answerer
from bench.quality.asking import bare_parts, pictures_of, prompt_of, second_turn
from bench.quality.lines import read_lines
from bench.quality.measuring import Plan, measure
from bench.quality.network import embed, features, prefill, resume
from bench.quality.probe import probe
from bench.quality.protocols import (
    PROTOCOLS,
    Protocol,
    Pruned,
    Read,
    ask_again,
    everything,
    picture_layout,
    prune,
    read,
    text_only,
    without_images,
)
from myopia.loading import Checkpoint
from myopia.params import Pruning
from myopia.prompt import Prompt, build_prompt

PRUNINGS = [variant.pruning for variant in grid.policies((0.2, 0.05))]


@pytest.fixture(scope="module")
def asked(checkpoint: Checkpoint, drawn: list[Sample]) -> Read:
    pictures = features(checkpoint, pictures_of(drawn[1]))
    return read(checkpoint, prompt_of(checkpoint, drawn[1]), pictures)


def stock_logits(checkpoint: Checkpoint, asked: Read, more: tuple[int, ...] = ()) -> torch.Tensor:
    """Logits of transformers' own forward pass over the prompt and more text."""
    embeds = embed(checkpoint, [*asked.prompt.ids, *more], asked.pictures)
    with torch.inference_mode():
        out = checkpoint.model.model.language_model(inputs_embeds=embeds, use_cache=False)
        return checkpoint.model.lm_head(out.last_hidden_state)[0]


def test_prefill_is_the_stock_forward(checkpoint: Checkpoint, asked: Read) -> None:
    stock = stock_logits(checkpoint, asked)
    torch.testing.assert_close(asked.full.logits, stock[-1], atol=2e-4, rtol=1e-3)


def test_text_over_the_whole_cache_is_the_stock_forward(
    checkpoint: Checkpoint, asked: Read
) -> None:
    more, length = (50, 60, 70), len(asked.prompt.ids)
    ours = resume(checkpoint, [everything(asked.full.layers, length)], [more], length)[0]
    stock = stock_logits(checkpoint, asked, more)
    torch.testing.assert_close(ours, stock[length:], atol=2e-4, rtol=1e-3)


def test_a_prefix_and_its_rest_are_the_whole(checkpoint: Checkpoint, asked: Read) -> None:
    prompt = asked.prompt
    head = prefill(checkpoint, embed(checkpoint, prompt.ids[: prompt.prefix], asked.pictures))
    rest = prefill(checkpoint, embed(checkpoint, prompt.ids[prompt.prefix :]), (), head.layers)
    torch.testing.assert_close(rest.logits, asked.full.logits, atol=2e-4, rtol=1e-3)


def second(checkpoint: Checkpoint, sample: Sample, asked: Read) -> tuple[Prompt, Read]:
    """The prompt of a first turn, and a question read after it."""
    question = "Describe image 1."
    prompt = build_prompt(checkpoint, second_turn(sample, question, "red circle"))
    return prompt_of(checkpoint, sample, question), read(checkpoint, prompt, asked.pictures)


def pruned_by(
    checkpoint: Checkpoint, sample: Sample, asked: Read, prunings: list[Pruning], protocol: Protocol
) -> tuple[Read, Pruned]:
    first, mine = (None, asked) if protocol != "turn" else second(checkpoint, sample, asked)
    return mine, prune(checkpoint, mine, prunings, protocol, first)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_variant_does_not_depend_on_its_neighbours(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample], protocol: Protocol
) -> None:
    _, pruned = pruned_by(checkpoint, drawn[1], asked, PRUNINGS, protocol)
    fed = pruned.tail or (40, 41)
    together = resume(checkpoint, pruned.variants, [fed] * len(PRUNINGS), pruned.start)
    for index in (0, 5, len(PRUNINGS) - 1):
        alone = resume(checkpoint, [pruned.variants[index]], [fed], pruned.start)
        torch.testing.assert_close(together[index], alone[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("protocol", ["question", "turn", "blind"])
def test_pruning_nothing_changes_nothing(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample], protocol: Protocol
) -> None:
    full = [Pruning(policy="full")]
    mine, whole = pruned_by(checkpoint, drawn[1], asked, full, protocol)
    logits = resume(checkpoint, whole.variants, [whole.tail], whole.start)[0, -1]
    torch.testing.assert_close(logits, mine.full.logits, atol=2e-4, rtol=1e-3)
    answerer = Answerer(checkpoint, mine, drawn[1].choices)
    (said,) = answerer.say(whole)
    assert said.text == answerer.reference.text
    assert said.kl < 1e-6
    assert said.agreement == 1


def test_a_second_turn_keeps_the_first_turns_text_and_scores_by_it(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    first, mine = second(checkpoint, drawn[1], asked)
    pruning = [Pruning(budget=0.1)]
    turn = prune(checkpoint, mine, pruning, "turn", first)
    assert (*first.ids, *turn.tail) == mine.prompt.ids
    kept = set(turn.variants[0][0].positions[0].tolist())
    assert set(range(first.prefix, len(first.ids))) <= kept  # the first question's own tokens
    alone = prune(checkpoint, replace(mine, prompt=first), pruning, "served")
    assert torch.equal(turn.variants[0][1].keys, alone.variants[0][1].keys)


def test_pruning_something_changes_something(checkpoint: Checkpoint, asked: Read) -> None:
    pruned = prune(checkpoint, asked, PRUNINGS, "question")
    kept = {variant[0].keys.shape[1] for variant in pruned.variants}
    assert max(kept) < asked.prompt.prefix
    assert all(said.kl > 1e-7 for said in Answerer(checkpoint, asked).say(pruned))


def test_served_answers_begin_with_the_whole_caches_token(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    answerer = Answerer(checkpoint, asked, drawn[1].choices)
    served = prune(checkpoint, asked, PRUNINGS, "served")
    assert {said.text for said in answerer.say(served)} == {answerer.reference.text}


def test_asking_again_is_the_question_protocol(checkpoint: Checkpoint, asked: Read) -> None:
    pruning = [Pruning(budget=0.1, head_mode="wise")]
    direct = prune(checkpoint, asked, pruning, "question")
    again = ask_again(prune(checkpoint, asked, pruning, "served"), asked.prompt)
    assert direct.tail == again.tail == asked.prompt.ids[asked.prompt.prefix :]
    for one, other in zip(direct.variants[0], again.variants[0], strict=True):
        assert torch.equal(one.keys, other.keys)
        assert int(one.positions.max()) < asked.prompt.prefix


def test_no_row_without_pictures_has_seen_them(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    prompt = asked.prompt
    empty = without_images(asked.full.layers, prompt.layout, prompt.prefix)
    assert empty[0].keys.shape[1] == prompt.prefix - prompt.layout.image_tokens
    blank = [torch.zeros_like(picture) for picture in asked.pictures]
    one = text_only(checkpoint, prompt)
    other = text_only(checkpoint, read(checkpoint, prompt, blank).prompt)
    assert torch.equal(one.variants[0][0].keys, other.variants[0][0].keys)
    assert one.start == prompt.prefix - prompt.layout.image_tokens


def test_blind_scores_do_not_know_the_question(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    other = prompt_of(checkpoint, drawn[1], "How many images show a star?")
    pruning = [Pruning(budget=0.1)]
    mine = prune(checkpoint, asked, pruning, "blind")
    theirs = prune(checkpoint, replace(asked, prompt=other), pruning, "blind")
    assert mine.tail != theirs.tail
    assert torch.equal(mine.variants[0][2].keys, theirs.variants[0][2].keys)
    layout = picture_layout(asked.prompt.layout)
    assert layout.length == asked.prompt.prefix
    assert not set(layout.text_rows) & set(layout.image_positions())


def test_a_second_turn_must_follow_its_first(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    with pytest.raises(ValueError, match="go on where the first"):
        prune(checkpoint, asked, PRUNINGS, "turn", prompt_of(checkpoint, drawn[0]))
    with pytest.raises(ValueError, match="needs the prompt"):
        prune(checkpoint, asked, PRUNINGS, "turn")


def test_open_answers_are_greedy(checkpoint: Checkpoint, asked: Read) -> None:
    reference = Answerer(checkpoint, asked).reference
    embeds = embed(checkpoint, asked.prompt.ids, asked.pictures)
    with torch.inference_mode():
        stock = checkpoint.model.generate(
            inputs_embeds=embeds, max_new_tokens=len(reference.tokens), do_sample=False
        )[0]
    assert stock.tolist() == list(reference.tokens)
    assert reference.logits.argmax(-1).tolist() == list(reference.tokens)


def test_choices_that_begin_alike_are_refused(checkpoint: Checkpoint, asked: Read) -> None:
    with pytest.raises(ValueError, match="begin alike"):
        Answerer(checkpoint, asked, ["red circle", "red star"])


def test_notes_stay_between_their_pictures(tmp_path: Path) -> None:
    (sample,) = load(write_dataset(tmp_path, "TextNeedleInAHaystack", 1, [3]))
    parts = bare_parts(sample)
    assert [isinstance(part, str) for part in parts] == [False, True] * 3
    assert [str(part).count("Note:") for part in parts[1::2]] == [1, 1, 1]
    assert str(parts[-1]).endswith("?")


def test_a_plan_is_run_in_parts_and_resumed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    plan = Plan(
        ("OCR-VQA", "IEdit"), (2,), 2, tuple(grid.policies((0.2,))[:3]), ("served", "turn", "blind")
    )
    first = measure(checkpoint, plan, tmp_path, part=(0, 2))
    assert len(first) == 6
    lines = measure(checkpoint, plan, tmp_path, part=(1, 2))
    assert len(lines) == 12
    assert {line.protocol for line in lines} == {"served", "turn", "blind"}
    names = {variant.name for variant in plan.variants} | {"full", "none"}
    for line in lines:
        assert names <= set(line.rows)
        assert line.rows["full"][1:] == [0.0, 1.0]
        assert ("text-only" in line.rows) == (line.protocol != "served")
    size = (tmp_path / "lines-0.jsonl").stat().st_size
    measure(checkpoint, plan, tmp_path, part=(0, 2))
    assert (tmp_path / "lines-0.jsonl").stat().st_size == size
    assert len(read_lines(tmp_path)) == 12
    with pytest.raises(ValueError, match="another run"):
        measure(checkpoint, replace(plan, samples=3), tmp_path)


def test_a_run_that_is_out_of_time_stops_between_samples_and_goes_on_later(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    plan = Plan(("OCR-VQA", "IEdit"), (2, 3), 2, tuple(grid.policies((0.2,))[:1]), ("question",))
    assert measure(checkpoint, plan, tmp_path, until=time.time() - 1) == []
    lines = measure(checkpoint, plan, tmp_path)
    # Each dataset's first questions, with every number of pictures, come before any second one.
    assert {(line.dataset, line.images) for line in lines[:4]} == {
        (dataset, images) for dataset in plan.datasets for images in plan.images
    }
    assert len(lines) == 8
    assert all(line.tokens >= 1 for line in lines)


def test_a_probe_knows_captions_and_not_the_question(
    checkpoint: Checkpoint, asked: Read, drawn: list[Sample]
) -> None:
    captions = [prompt_of(checkpoint, drawn[1], f"Describe image {k}.") for k in (1, 2, 3, 4)]
    prunings = [variant.pruning for variant in grid.probes((0.2,))]
    mine = probe(checkpoint, asked, captions, prunings)
    other = prompt_of(checkpoint, drawn[1], "How many images show a star?")
    theirs = probe(checkpoint, replace(asked, prompt=other), captions, prunings)
    assert mine.tail != theirs.tail
    for one, same in zip(mine.variants[0], theirs.variants[0], strict=True):
        assert torch.equal(one.positions, same.positions)
    fewer = probe(checkpoint, asked, captions[:1], prunings)
    assert any(
        not torch.equal(one.positions, less.positions)
        for one, less in zip(mine.variants[0], fewer.variants[0], strict=True)
    )
    with pytest.raises(ValueError, match="alpha must be 1"):
        probe(checkpoint, asked, captions, [Pruning()])
