"""What the page and the README offer to ask is answered right by the weights that ship.

`python -m pytest tests/system/test_examples.py -s` prints every answer, e.g. after a training.
"""

import json
from typing import Any

import httpx
import pytest

from service.page import FOLDER
from tests.system.serving import Served

EXAMPLES: list[dict[str, Any]] = json.loads((FOLDER / "examples" / "index.json").read_text())
# What was drawn: `pocket.examples.CONTENTS`.
RIGHT = {
    "Which image shows a red circle?": "2",
    "What color is the diamond in image 5?": "cyan",
    "What digit is written in image 4?": "3",
}
# As the page asks at first, and both settings that it offers to compare with.
SETTINGS = {"default": {}, "full cache": {"policy": "full"}, "gamma 1.8": {"gamma": 1.8}}


@pytest.mark.parametrize("example", EXAMPLES, ids=[one["title"] for one in EXAMPLES])
def test_an_example_is_answered_right(served: Served, example: dict[str, Any]) -> None:
    files = [("images", (FOLDER / "examples" / name).open("rb")) for name in example["files"]]
    said = {}
    for name, pruning in SETTINGS.items():
        for _, file in files:
            file.seek(0)
        reply = httpx.post(
            f"{served.address}/v1/ask",
            files=files,
            data={
                "question": example["question"],
                "params": json.dumps({"pruning": pruning, "options": example.get("options", [])}),
            },
            timeout=60,
        )
        said[name] = reply.json()["answer"]
    print(f"{example['question']} {said}")
    right = RIGHT[example["question"]]
    assert (said["default"], said["full cache"]) == (right, right)
