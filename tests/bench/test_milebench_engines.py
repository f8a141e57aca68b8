"""Samples answered by the real engine and by a service; runs from the command line."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.milebench.__main__ import main
from bench.milebench.engines import (
    Asking,
    EngineAnswer,
    NoAnswer,
    PlainTokens,
    ServiceAnswer,
    bare_prompt,
    lettered,
    limits_of,
    reader,
)
from bench.milebench.prompts import HERE, llama_2_template, mistral_template
from bench.milebench.samples import Sample
from bench.pocketbench.writing import write_dataset
from bench.quality.answering import Answerer
from bench.quality.asking import pictures_of, prompt_of
from bench.quality.network import features
from bench.quality.protocols import prune, read
from myopia.loading import Checkpoint
from myopia.params import Picture, Pruning
from myopia.prompt import build_prompt

OWN = Asking("own", "max", 4096, 8, bare=True)
NOTHING = Pruning(policy="full")


@pytest.mark.parametrize("form", ["llama_2", "mistral"])
def test_forms_are_the_harness_templates(
    checkpoint: Checkpoint, drawn: list[Sample], form: str
) -> None:
    answer = EngineAnswer(checkpoint, NOTHING, Asking(form))  # type: ignore[arg-type]
    inner = answer._engine.checkpoint
    text = inner.tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}],
        chat_template=inner.chat_template,
        tokenize=False,
    )
    assert text == {"llama_2": llama_2_template, "mistral": mistral_template}[form]("a<image>")


def test_parts_keep_their_order_and_pairs_are_spread(
    checkpoint: Checkpoint, drawn: list[Sample]
) -> None:
    sample = replace(drawn[0], context="{image#1}{image#2} x {image#3} y {image#4} z?", choices=())
    request = EngineAnswer(checkpoint, NOTHING, Asking("mistral")).request(sample)
    shown = ["P" if isinstance(part, Picture) else part.strip() for part in request.turns[0].parts]
    assert shown == ["Look at the images.", "P", "", "P", "x", "P", "y", "P", "z"]
    assert request.tiles == "base"
    assert build_prompt(checkpoint, request).layout.image_tokens == 4 * 16


def test_pictures_cost_what_their_tiles_cost(checkpoint: Checkpoint, drawn: list[Sample]) -> None:
    base, tiles = (
        limits_of(checkpoint, Asking(tiles=kind)).image_tokens(drawn[0].images[0])  # type: ignore[arg-type]
        for kind in ("base", "max")
    )
    assert base == 16
    assert tiles > base
    few = reader(checkpoint, Asking(context_tokens=80))(drawn[0])
    assert 0 < len(few.images) < 4


def test_tokens_come_back(checkpoint: Checkpoint) -> None:
    tokens = PlainTokens(checkpoint.tokenizer)
    assert tokens.decode(tokens.encode("which image show a red circle")) == (
        "which image show a red circle"
    )


def test_engine_and_bench_agree(checkpoint: Checkpoint, drawn: list[Sample]) -> None:
    """The bench's own forward pass and the engine give the same served answer, pruned or not."""
    sample = replace(drawn[2], choices=())
    pictures = features(checkpoint, pictures_of(sample))
    asked = read(checkpoint, prompt_of(checkpoint, sample), pictures)
    answerer = Answerer(checkpoint, asked)
    for pruning in (NOTHING, Pruning(budget=0.1), Pruning(policy="h2o", budget=0.1)):
        (ours,) = answerer.say(prune(checkpoint, asked, [pruning], "served"))
        theirs = EngineAnswer(checkpoint, pruning, replace(OWN, max_tokens=10))(sample)
        assert theirs == ours.text


def test_options_are_answered_with_their_letter(
    checkpoint: Checkpoint, drawn: list[Sample]
) -> None:
    said = EngineAnswer(checkpoint, NOTHING, OWN)(drawn[0])
    assert said in {"A. 1", "B. 2", "C. 3", "D. 4"}
    assert lettered(drawn[0], "9") == "9"


def test_a_failed_ask_names_its_sample(checkpoint: Checkpoint, drawn: list[Sample]) -> None:
    many = replace(drawn[0], context="{image#1}" * 60, images=drawn[0].images[:1] * 60)
    with pytest.raises(NoAnswer, match="GPR1200 0"):
        EngineAnswer(checkpoint, NOTHING, replace(OWN, tiles="max"))(many)


def test_a_run_and_its_report_from_the_command_line(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    write_dataset(tmp_path / "data", "OCR-VQA", 2, [2])
    common = ["--data", str(tmp_path / "data"), "--model", str(untrained), "--form", "own"]
    for name, more in (("full", []), ("h2o", ["--policy", "h2o", "--budget", "0.2"])):
        main(["run", *common, "--bare", "--out", str(tmp_path / name), *more])
    runs = [f"{name}={tmp_path / name}" for name in ("full", "h2o")]
    main(["report", *runs, "--out", str(tmp_path / "report")])
    assert "Difference to full" in capsys.readouterr().out
    settings = json.loads((tmp_path / "h2o" / "run.json").read_text())
    assert settings["pruning"]["policy"] == "h2o"
    with pytest.raises(SystemExit, match="unpack"):
        main(["run", "--data", str(tmp_path), "--model", "x", "--out", str(tmp_path / "x")])
    with pytest.raises(SystemExit, match="--model"):
        main(["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "y")])


class _Service(BaseHTTPRequestHandler):
    bodies: list[dict[str, Any]] = []  # noqa: RUF012 - one server per test

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body | {"key": self.headers["Authorization"]})
        bad = body["question"] == "bad?"
        self.send_response(422 if bad else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"answer": "2", "detail": "too many"}).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_is_asked_in_its_own_words(service: str, drawn: list[Sample]) -> None:
    answer = ServiceAnswer(service, Pruning(budget=0.1), bare_prompt, key="k", asking=OWN)
    assert answer(drawn[0]) == "B. 2"
    body = _Service.bodies[-1]
    assert body["key"] == "Bearer k"
    assert body["question"] == drawn[0].context.split("}")[-1]
    assert len(body["images"]) == 4
    assert body["options"] == list(drawn[0].choices)
    assert body["pruning"]["budget"] == 0.1
    with pytest.raises(NoAnswer, match="too many"):
        answer(replace(drawn[0], context="{image#1}bad?"))
    assert HERE not in json.dumps(body)
