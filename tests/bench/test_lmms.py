"""The lmms-eval plugin, through its own registry; skipped where it is not installed."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("lmms_eval", reason="pip install lmms-eval")

from bench.lmms.models.myopia import Myopia, interleaved, picture_of, pruning_of


class Instance:
    """What a task hands to a model: six arguments."""

    def __init__(self, doc_id: int, text: str, **wanted: Any) -> None:
        wanted = {"max_new_tokens": 4, "until": ["\n"], **wanted}
        self.args = (text, wanted, lambda doc: doc["pictures"], doc_id, "drawn", "test")


@pytest.fixture(scope="module")
def model(untrained: Path) -> Myopia:
    model = Myopia(str(untrained), policy="h2o", budget=0.2, batch_size="1", tiles="base")
    shades = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    docs = [{"pictures": shades[:1]}, {"pictures": shades}, {"pictures": []}]
    model.task_dict = {"drawn": {"test": docs}}
    return model


def test_lmms_eval_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMMS_EVAL_PLUGINS", "bench.lmms")
    import lmms_eval.models as registry

    with pytest.warns(DeprecationWarning, match="LMMS_EVAL_PLUGINS"):
        registry._merge_legacy_plugin_models(registry.MODEL_REGISTRY_V2)
    assert registry.get_model("myopia", force_simple=True) is Myopia


def test_answers_come_in_the_order_asked(model: Myopia) -> None:
    asked = [
        Instance(1, "image one"),
        Instance(0, "<image> what color ?"),
        Instance(2, "no picture"),
    ]
    together = model.generate_until(asked)
    assert len(together) == 3
    assert [model.generate_until([one])[0] for one in asked] == together


def test_requests_carry_pruning_stops_and_pictures(model: Myopia) -> None:
    request = model.request("ask_1", Instance(1, "a<image>b<image>c", temperature=None))
    kinds = ["str" if isinstance(part, str) else "picture" for part in request.turns[0].parts]
    assert kinds == ["picture", "str", "picture", "str", "picture", "str"]
    assert request.pruning.policy == "h2o"
    assert (request.sampling.stop, request.sampling.temperature) == (("\n",), 0.0)


def test_marks_without_pictures_are_dropped() -> None:
    assert list(interleaved("a<image>b", [])) == ["a", "b"]


def test_what_cannot_be_done_is_refused(model: Myopia, untrained: Path) -> None:
    with pytest.raises(ValueError, match="unknown model_args"):
        pruning_of({"ratio": 0.5})
    with pytest.raises(TypeError, match="only pictures"):
        picture_of("clip.mp4")
    with pytest.raises(ValueError, match="tiles"):
        Myopia(str(untrained), tiles="huge")
    for method in (model.loglikelihood, model.generate_until_multi_round):
        with pytest.raises(NotImplementedError, match="generate_until"):
            method([])
