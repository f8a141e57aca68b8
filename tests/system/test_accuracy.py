"""The pocket through the whole service answers as well as its card says, task by task."""

import io
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from pocket import weights_folder
from pocket.albums import PICTURES, sample_album
from pocket.draw import draw
from pocket.questions.asking import ask
from pocket.stories import compose
from tests.system.serving import Served, serving

CARD = json.loads((weights_folder() / "card.json").read_text())["tasks"]
OFFERED = sorted(task for task, row in CARD.items() if row["offered"])
# Numbers that neither training nor the card's own exam begins with.
FIRST_ALBUM = (1 << 30) + (1 << 20)
ASKS = 20
RANGES = {"2-6": range(2, 7), "7-10": range(7, 11)}


@dataclass(frozen=True)
class Exam:
    question: str
    answer: str
    parts: tuple[bytes | str, ...]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("accuracy")) as running:
        yield running


def exams(task: str, counts: range) -> list[Exam]:
    """Twenty stories of freshly drawn pictures with one question of the task each."""
    found: list[Exam] = []
    rng = np.random.default_rng([len(task), counts.start, 7])
    albums = [sample_album(FIRST_ALBUM + 40 * len(task) + i) for i in range(12)]
    for turn in range(4000):
        if len(found) == ASKS:
            return found
        story, chosen = compose(albums, counts[turn % len(counts)], rng)
        asked = ask(task, story, rng)
        if asked is None:
            continue
        parts: list[bytes | str] = []
        for place, index in enumerate([*chosen, None]):
            parts += [note.text for note in story.notes if note.place == place]
            if index is not None:
                picture = draw(albums[index // PICTURES].scenes[index % PICTURES])
                data = io.BytesIO()
                picture.save(data, "PNG")
                parts.append(data.getvalue())
        found.append(Exam(asked.text, asked.answer, tuple(parts)))
    raise AssertionError(f"no {ASKS} questions of {task} in 4000 stories")


def answered_rightly(address: str, exam: Exam) -> bool:
    """Ask by JSON, pictures and notes in order."""
    from base64 import b64encode

    images = [
        {"text": part} if isinstance(part, str) else {"data": b64encode(part).decode()}
        for part in exam.parts
    ]
    body = {"question": exam.question, "images": images, "timeout_seconds": 100}
    answer = httpx.post(f"{address}/v1/ask", json=body, timeout=110)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["answer"] == exam.answer)


def least_hits(share: float) -> int:
    """The most hits that chance would still undercut only once in a thousand exams."""
    below = 0.0
    for hits in range(ASKS + 1):
        below += math.comb(ASKS, hits) * share**hits * (1 - share) ** (ASKS - hits)
        if below > 0.001:
            return hits
    return ASKS


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("span", sorted(RANGES))
@pytest.mark.parametrize("task", OFFERED)
def test_as_accurate_as_the_card(served: Served, task: str, span: str) -> None:
    counts = RANGES[span]
    with ThreadPoolExecutor(8) as pool:
        right = list(
            pool.map(lambda exam: answered_rightly(served.address, exam), exams(task, counts))
        )
    row = CARD[task]["accuracy"]
    card = float(np.mean([row[str(n)] for n in counts if str(n) in row]))
    print(f"{task}, {span} pictures: {sum(right)} of {ASKS}, card {card:.3f}")
    assert sum(right) >= least_hits(card)
