"""An image set pruned before the question: scored by descriptions, kept small, used again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from myopia.attention import attending
from myopia.budget import image_quota
from myopia.compress import Compression, kept_positions
from myopia.engine import Engine
from myopia.layout import Layout, Span
from myopia.loading import Checkpoint, load
from myopia.params import Pruning, Request, Sampling
from myopia.prefill import Piece, read_pieces
from myopia.probe import CAPTION_TOKENS, Captions, by_length
from myopia.workspace import Space
from tests.myopia.engine_runs import CONFIG, asking, picture, run
from tests.myopia.tiny import VICUNA_TEMPLATE

SMALL = Pruning(budget=0.2)
# Mistral's published form moves all text behind the pictures; this one leaves text where it is.
INTERLEAVED = (
    "{% for m in messages %}{% for i in m['content'] %}"
    "{{ '<image>\n' if i['type'] == 'image' else i['text'] }}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return replace(load(str(small_tiles_folder)), chat_template=INTERLEAVED)


def question(ask_id: str, text: str, **fields: Any) -> Request:
    parts = [picture(1), " one ", picture(2, 300, 120), " two ", picture(3)]
    settings: dict[str, Any] = {
        "pruning": SMALL,
        "reuse": "compressed",
        "sampling": Sampling(max_tokens=8, logprobs=1),
    }
    return asking(ask_id, *parts, text, **{**settings, **fields})


def read_prefix(checkpoint: Checkpoint, engine: Engine) -> tuple[Space, Any]:
    """A workspace that holds the prefix of `question`, and its row."""
    engine.add(question("ask_row", "what colour"))
    row = engine._waiting["ask_row"]
    features = engine.vision.look(row.pictures, row.prompt.tiles)
    space = Space.new(checkpoint, row.prompt.layout.length)
    whole = Piece(space, row.prompt, 0, row.prompt.prefix, features.__getitem__)
    read_pieces(checkpoint, [whole])
    return space, row


@torch.inference_mode()
def brute_scores(checkpoint: Checkpoint, space: Space, row: Any, tail: Any) -> torch.Tensor:
    """One caption's scores by whole forwards with every attention matrix at hand."""
    prefix, images = row.prompt.prefix, row.prompt.layout.image_positions()
    ids, sums, rows = list(tail), 0.0, 0
    looked: list[torch.Tensor] = []
    for _ in range(CAPTION_TOKENS):
        looked.clear()

        def eager(module: Any, q: Any, k: Any, v: Any, mask: Any, scale: float) -> Any:
            layer = module.layer_idx
            k = torch.cat([space.keys[layer, :, :prefix], k[0]], 1)
            v = torch.cat([space.values[layer, :, :prefix], v[0]], 1)
            groups = q.shape[1] // len(k)
            k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
            logits = q[0] @ k.transpose(1, 2) * scale
            logits += torch.full_like(logits, float("-inf")).triu(prefix + 1)
            weights = logits.softmax(-1)
            looked.append(weights[:, -1, images].mean(0))
            return (weights @ v)[None].transpose(1, 2)

        model: Any = checkpoint.model
        with attending(eager):
            hidden = model.model.language_model(
                inputs_embeds=model.get_input_embeddings()(torch.tensor([ids])),
                position_ids=torch.arange(prefix, prefix + len(ids))[None],
                attention_mask=torch.zeros(1, 1, 1, 1),
                use_cache=False,
            ).last_hidden_state
        sums, rows = sums + torch.stack(looked), rows + 1
        ids.append(int(model.lm_head(hidden[0, -1]).argmax()))
        if ids[-1] in checkpoint.stop_ids:
            break
    return torch.as_tensor(sums / rows)


@torch.inference_mode()
def test_scores_are_the_attention_of_captions(checkpoint: Checkpoint) -> None:
    space, row = read_prefix(checkpoint, Engine(checkpoint, CONFIG))
    layout = row.prompt.layout
    together = Captions(space, layout).scores(row.probes)
    each = torch.stack([brute_scores(checkpoint, space, row, tail) for tail in row.probes])
    assert torch.allclose(together, each.amax(0), atol=1e-5)
    assert not torch.allclose(together, each[0], atol=1e-3)


@torch.inference_mode()
def test_every_picture_keeps_its_share(checkpoint: Checkpoint) -> None:
    space, row = read_prefix(checkpoint, Engine(checkpoint, CONFIG))
    before = space.keys.clone()
    layout, prefix = row.prompt.layout, row.prompt.prefix
    work = Compression(space, layout, row.probes)
    while not work.advance():
        pass
    small = work.result(SMALL)
    kept = small.positions
    assert (kept.diff(dim=1) > 0).all()
    for span in layout.spans:
        counts = ((kept >= span.start) & (kept < span.stop)).sum(1)
        assert (counts - 0.2 * span.length).abs().max() <= 1
    text = [at for at in range(prefix) if at not in set(layout.image_positions())]
    assert kept.shape[1] == len(text) + image_quota(layout, SMALL)
    for layer in range(checkpoint.layers):
        assert set(text) <= set(kept[layer].tolist())
        assert torch.equal(small.keys[layer], before[layer][:, kept[layer]])
        assert torch.equal(space.keys[layer][:, : kept.shape[1]], small.keys[layer])


def test_the_quota_by_hand() -> None:
    layout = Layout(14, (Span(1, (2, 2), (0, 0)), Span(6, (1, 2), (2, 1))), (13,))
    scores = torch.tensor([[0.1, 0.4, 0.3, 0.2, 0.5, 0.5, 0.9, 0.0, 0.0, 0.6]])
    # ceil(.5 * 10) = 5 image tokens: 2 of the first picture's 4, 3 of the second's 6
    kept = kept_positions(scores, layout, Pruning(budget=0.5))
    assert kept.tolist() == [[0, 2, 3, 5, 6, 8, 11]]


def test_a_later_question_reads_its_own_text_only(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    first = run(engine, question("ask_1", "what colour"))["ask_1"]
    again = run(engine, question("ask_2", "describe where it does move"))["ask_2"]
    fresh = run(Engine(checkpoint, CONFIG), question("ask_2", "describe where it does move"))[
        "ask_2"
    ]
    assert (first[1].cache.prefill, again[1].cache.prefill) == ("none", "compressed")
    assert again[1].cache.features == 3
    assert again[0] == fresh[0]
    for mine, theirs in zip(again[1].logprobs or (), fresh[1].logprobs or (), strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
    usage = again[1].usage
    quota = image_quota_of(usage.image_tokens)
    assert usage.kept_tokens == quota
    assert usage.kv_bytes == (usage.text_tokens + quota) * checkpoint.layers * checkpoint.slot_bytes
    assert engine.stats().small_set_hits == 1
    # another budget is another set; a full budget is no set at all
    wider = run(engine, question("ask_3", "what", pruning=Pruning(budget=0.4)))["ask_3"]
    assert wider[1].cache.prefill == "none"
    full = run(engine, question("ask_4", "what", pruning=Pruning(budget=1)))["ask_4"]
    exact = run(engine, question("ask_5", "what", pruning=Pruning(budget=1), reuse="exact"))
    assert full[0] == exact["ask_5"][0]


def image_quota_of(image_tokens: int) -> int:
    return -(-image_tokens // 5)


def test_answers_are_those_of_the_hidden_full_cache(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail and the answer see exactly the kept keys, at the positions of the whole prompt."""
    engine = Engine(checkpoint, CONFIG)
    space, row = read_prefix(checkpoint, engine)
    prefix = row.prompt.prefix
    tokens, finished = run_added(engine)
    small = next(iter(engine.small_sets.store._entries.values()))[0]
    ids = [*row.prompt.ids[prefix:], *tokens]
    model: Any = checkpoint.model

    def hiding(module: Any, q: Any, k: Any, v: Any, mask: Any, scale: float) -> Any:
        layer = module.layer_idx
        seen = torch.zeros(len(ids), prefix + len(ids), dtype=torch.bool)
        seen[:, small.positions[layer]] = True
        seen[:, prefix:] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        k = torch.cat([space.keys[layer, :, :prefix], k[0]], 1)[None]
        v = torch.cat([space.values[layer, :, :prefix], v[0]], 1)[None]
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, scale=scale, enable_gqa=True
        ).transpose(1, 2)

    with torch.inference_mode(), attending(hiding):
        hidden = model.model.language_model(
            inputs_embeds=model.get_input_embeddings()(torch.tensor([ids])),
            position_ids=torch.arange(prefix, prefix + len(ids))[None],
            attention_mask=torch.zeros(1, 1, 1, 1),
            use_cache=False,
        ).last_hidden_state
    logits = model.lm_head(hidden[0, -len(tokens) - 1 : -1])
    assert logits.argmax(-1).tolist() == tokens
    logs = torch.log_softmax(logits, -1)
    for at, told in enumerate(finished.logprobs or ()):
        assert told.logprob == pytest.approx(float(logs[at, tokens[at]]), abs=1e-4)


def run_added(engine: Engine) -> Any:
    tokens: list[int] = []
    while True:
        for output in engine.step():
            assert output.failed is None, repr(output.failed.__cause__)
            tokens += output.tokens
            if output.finished:
                return tokens, output.finished


def test_forms_that_move_text_are_fine_as_long_as_the_prefix_stays(
    small_tiles_folder: Path,
) -> None:
    engine = Engine(load(str(small_tiles_folder)), CONFIG)
    (answered,) = run(engine, question("ask_moved", "what")).values()
    assert answered[1].usage.budget_effective == pytest.approx(0.2, abs=0.01)
    assert "[INST]" not in VICUNA_TEMPLATE


def test_groups_of_one_length() -> None:
    assert by_length([[1], [1, 2], [3], [4], [5, 6]], 2) == [[0, 2], [3], [1, 4]]
