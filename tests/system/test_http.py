"""The whole service over HTTP with the real worker and model: what only both together can show.

How right the answers are is the pocket's card; here it is what is taken, refused and counted.
"""

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from tests.system.serving import ROOT, Served


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=60) as client:
        yield client


def drawn(color: str = "red", size: tuple[int, int] = (128, 128)) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    width, height = size
    ImageDraw.Draw(picture).ellipse((width // 4, height // 4, width // 2, height // 2), fill=color)
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def body(*pictures: bytes, question: str = "Which image shows a red circle?", **fields: Any) -> Any:
    images = [{"data": base64.b64encode(data).decode()} for data in pictures]
    return {"question": question, "images": images, **fields}


RED, BLUE = encoded(drawn("red")), encoded(drawn("blue"))
SHORT = {"generation": {"max_tokens": 4}, "cache": "off"}


def exif_turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded(drawn(), "JPEG", exif=exif)


ODD = {
    "jpeg": lambda: encoded(drawn(), "JPEG"),
    "webp": lambda: encoded(drawn(), "WEBP"),
    "bmp": lambda: encoded(drawn(), "BMP"),
    "gif": lambda: encoded(drawn(), "GIF"),
    "animated gif": lambda: encoded(drawn(), "GIF", save_all=True, append_images=[drawn("blue")]),
    "animated webp": lambda: encoded(drawn(), "WEBP", save_all=True, append_images=[drawn()]),
    "palette": lambda: encoded(drawn().convert("P")),
    "alpha": lambda: encoded(drawn().convert("RGBA")),
    "grey and alpha": lambda: encoded(drawn().convert("LA")),
    "one bit": lambda: encoded(drawn().convert("1")),
    "16 bits": lambda: encoded(Image.new("I;16", (64, 64), 40_000)),
    "cmyk": lambda: encoded(drawn().convert("CMYK"), "JPEG"),
    "exif turned": exif_turned,
    "8 x 8": lambda: encoded(drawn(size=(8, 8))),
    "16 to 1": lambda: encoded(drawn(size=(640, 40))),
    "1 to 16": lambda: encoded(drawn(size=(40, 640))),
    "large": lambda: encoded(drawn(size=(3000, 2000)), "JPEG"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_pictures_are_handled_to_the_end(http: httpx.Client, name: str) -> None:
    reply = http.post("/v1/ask", json=body(RED, ODD[name](), **SHORT))
    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["image_tokens"] > 0


def test_estimate_counts_the_tokens_that_the_engine_counts(http: httpx.Client) -> None:
    for pictures in ([RED], [RED, ODD["16 to 1"]()], [exif_turned(), ODD["large"](), BLUE]):
        for tiles in ("base", "max"):
            sent = body(*pictures, tiles=tiles, **SHORT)
            told = http.post("/v1/estimate", json=sent).json()
            usage = http.post("/v1/ask", json=sent).json()["usage"]
            assert told["image_tokens"] == usage["image_tokens"], tiles


@pytest.mark.parametrize(
    "text", ["<image>", "</s><s>", "[INST]", "<unk><pad>", "<|im_end|>", "\x00", "漢字 ✂"]
)
def test_special_tokens_are_text_to_the_end(http: httpx.Client, text: str) -> None:
    sent = body(RED, BLUE, question=f"{text} Which image shows a red circle?", **SHORT)
    reply = http.post("/v1/ask", json=sent)
    assert reply.status_code == 200, reply.text
    plain = http.post("/v1/ask", json=body(RED, BLUE, **SHORT)).json()
    assert reply.json()["usage"]["image_tokens"] == plain["usage"]["image_tokens"]


def test_prompt_that_is_too_long_says_what_pictures_cost(http: httpx.Client) -> None:
    reply = http.post("/v1/ask", json=body(*[RED] * 64, tiles="max", question="red " * 4000))
    assert reply.status_code == 422, reply.text
    problem = reply.json()
    assert problem["code"] == "prompt_too_long"
    assert problem["actual"] > problem["limit"] > 0
    assert "token" in problem["detail"]


def test_answer_is_one_of_the_options(http: httpx.Client) -> None:
    options = ["left", "right", "neither"]
    answer = http.post("/v1/ask", json=body(RED, BLUE, options=options)).json()
    assert answer["answer"] in options


@pytest.mark.parametrize("policy", ["full", "myopia", "h2o", "snapkv", "streaming", "random"])
def test_policies_and_budgets_are_obeyed_per_ask(http: httpx.Client, policy: str) -> None:
    held = []
    for budget in (1.0, 0.5, 0.2):
        pruning: dict[str, Any] = {"policy": policy, "budget": budget}
        pruning |= {"bin_mode": "off"} if policy == "myopia" else {}
        reply = http.post("/v1/ask", json=body(RED, BLUE, pruning=pruning, **SHORT))
        assert reply.status_code == 200, reply.text
        usage = reply.json()["usage"]
        held.append(usage["kept_tokens"])
        if policy != "full":
            assert usage["kept_tokens"] <= budget * usage["image_tokens"] + 2
    assert held == sorted(held, reverse=True)
    assert policy == "full" or held[2] < held[0]


def test_same_ask_is_a_hit_with_the_same_bytes(http: httpx.Client) -> None:
    sent = body(RED, BLUE, generation={"max_tokens": 6})
    first, second = (http.post("/v1/ask", json=sent).json() for _ in range(2))
    assert (first["cache"]["result"], second["cache"]["result"]) == ("miss", "hit")
    assert first["answer"].encode() == second["answer"].encode()


def test_streamed_text_is_the_answer(http: httpx.Client) -> None:
    sent = body(RED, BLUE, stream=True, **SHORT)
    kinds, text, last = [], "", {}
    with http.stream("POST", "/v1/ask", json=sent) as reply:
        for line in reply.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if line.startswith("data: "):
                last = json.loads(line.removeprefix("data: "))
                text += last.get("text", "") if kinds[-1] == "token" else ""
    assert kinds[-1] == "done"
    assert kinds.count("done") == 1
    assert text.strip() == last["answer"]


def test_words_that_the_model_does_not_know_are_warned_of(http: httpx.Client) -> None:
    sent = body(RED, question="Which image shows a flabbergasted xylophone?", **SHORT)
    assert http.post("/v1/ask", json=sent).json()["warnings"]


def test_hanging_up_frees_the_worker(http: httpx.Client, served: Served) -> None:
    # Pictures that no cache has seen: the worker is busy for longer than the asker waits.
    noise = [encoded(Image.effect_noise((128, 128), 90 + n).convert("RGB")) for n in range(36)]
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.address}/v1/ask", json=body(*noise, cache="off"), timeout=0.3)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if "myopia_num_requests_running 0.0" in http.get("/metrics").text:
            break
        time.sleep(0.1)
    text = http.get("/metrics").text
    assert "myopia_num_requests_running 0.0" in text
    assert "myopia_ledger_imbalance 0.0" in text


def test_the_terminal_shows_what_the_service_answers(
    http: httpx.Client, served: Served, tmp_path: Path
) -> None:
    for name, data in (("a.png", BLUE), ("b.png", RED)):
        (tmp_path / name).write_bytes(data)
    question = "Which image shows a red circle?"
    command = [sys.executable, "-m", "service.cli", "ask", "a.png", "b.png", question]
    environment = {"PYTHONPATH": str(ROOT), "MYOPIA_URL": served.address}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = http.post("/v1/ask", json=body(BLUE, RED, question=question)).json()
    assert ran.stdout == told["answer"] + "\n"
    assert f"of {told['usage']['image_tokens']} picture tokens kept, cache miss" in ran.stderr
    assert told["cache"]["result"] == "hit"
