"""CIDEr by hand and against pycocoevalcap; caption files in the shapes that are published."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.captions.annotations import BadAnnotations, Captioned, read
from bench.captions.cider import cider, tokens


def test_by_hand() -> None:
    # Two pictures, one word each: log 2 - log 1 for both, so equal words have cosine 1 in one of
    # four orders, and the length (bigrams) is 0 on both sides: 10 * 1 / 4.
    assert cider(["cat", "cat"], [["cat"], ["dog"]]) == pytest.approx([2.5, 0.0])


def test_length_is_damped_and_repetition_clipped() -> None:
    references = [["a cat sat"], ["dogs ran off"]]
    (exact, _), (longer, _), (again, _) = (
        cider([said, "x"], references)
        for said in ("a cat sat", "a cat sat there on some old mat", "a cat cat cat")
    )
    assert exact == pytest.approx(10 * 3 / 4)
    assert longer < exact * math.exp(-(5**2) / 72) + 1e-9
    assert again < exact


def test_a_word_in_every_reference_weighs_nothing() -> None:
    assert cider(["the", "the"], [["the"], ["the"]]) == [0.0, 0.0]


def test_every_caption_needs_a_reference() -> None:
    with pytest.raises(ValueError, match="reference"):
        cider(["a"], [[]])
    with pytest.raises(ValueError, match="reference"):
        cider(["a", "b"], [["a"]])


def test_tokens() -> None:
    assert tokens("A cat, on a well-known mat.") == ["a", "cat", "on", "a", "well", "known", "mat"]


TEXT = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=5)), min_size=1, max_size=6))
def test_equals_the_released_scorer(pictures: list[tuple[str, list[str]]]) -> None:
    official: Any = pytest.importorskip(
        "pycocoevalcap.cider.cider_scorer", reason="pip install --no-deps pycocoevalcap"
    )
    scorer = official.CiderScorer()
    for said, references in pictures:
        scorer += (said, references)
    _, theirs = scorer.compute_score()
    ours = cider([said for said, _ in pictures], [list(row) for _, row in pictures])
    assert ours == pytest.approx(list(theirs), abs=1e-9)


def test_coco_and_nocaps(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    document = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "domain": "in-domain"},
            {"id": 2, "file_name": "b.jpg"},
            {"id": 3, "file_name": "none.jpg"},
        ],
        "annotations": [
            {"image_id": 2, "caption": "two"},
            {"image_id": 1, "caption": "one"},
            {"image_id": 2, "caption": "zwei"},
        ],
    }
    path.write_text(json.dumps(document))
    assert read(path, Path("p")) == [
        Captioned(Path("p/a.jpg"), ("one",), "in-domain"),
        Captioned(Path("p/b.jpg"), ("two", "zwei")),
    ]


def test_karpathy_splits(tmp_path: Path) -> None:
    path = tmp_path / "dataset_coco.json"
    sentence = [{"raw": "one"}, {"raw": "two"}]
    path.write_text(
        json.dumps(
            {
                "images": [
                    {
                        "filename": "a.jpg",
                        "filepath": "val2014",
                        "split": "test",
                        "sentences": sentence,
                    },
                    {"filename": "b.jpg", "split": "train", "sentences": sentence},
                ]
            }
        )
    )
    assert read(path, Path("p")) == [Captioned(Path("p/val2014/a.jpg"), ("one", "two"))]
    assert read(path, Path("p"), split="train")[0].image == Path("p/b.jpg")


def test_flickr_lists(tmp_path: Path) -> None:
    token = tmp_path / "results.token"
    token.write_text("1.jpg#0\tA man .\n1.jpg#1\tA guy .\n2.jpg#0\tDogs .\n")
    wanted = [
        Captioned(Path("p/1.jpg"), ("A man .", "A guy .")),
        Captioned(Path("p/2.jpg"), ("Dogs .",)),
    ]
    assert read(token, Path("p")) == wanted
    table = tmp_path / "results.csv"
    table.write_text(
        "image_name| comment_number| comment\n1.jpg| 0| A man .\n1.jpg| 1| A guy .\n"
        "2.jpg| 4   A dog runs .\n2.jpg| 0| Dogs .\n"
    )
    assert read(table, Path("p")) == wanted


def test_bad_files_name_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(BadAnnotations, match="download"):
        read(path, tmp_path)
    path.write_text("[")
    with pytest.raises(BadAnnotations, match="not JSON"):
        read(path, tmp_path)
    path.write_text("{}")
    with pytest.raises(BadAnnotations, match="images"):
        read(path, tmp_path)
    path.write_text(json.dumps({"images": [{"id": 1}], "annotations": []}))
    with pytest.raises(BadAnnotations, match="file_name"):
        read(path, tmp_path)
    with pytest.raises(BadAnnotations, match="download"):
        read(tmp_path / "x.token", tmp_path)
    (tmp_path / "y.token").write_text("1.jpg#0 no tab\n")
    with pytest.raises(BadAnnotations, match="line 1"):
        read(tmp_path / "y.token", tmp_path)
