"""The loader against folders written in MileBench's layout."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.milebench.catalog import DATASETS, TASKS, average_tasks
from bench.milebench.samples import BadDataset, annotation_file, load, quantity_level, text_depth
from tests.bench.milebench_drawn import entry, write


def test_the_catalog_has_29_folders_in_12_tasks() -> None:
    assert len(DATASETS) == len(set(DATASETS)) == 29
    assert len(TASKS) == 12


def test_every_folder_name_loads(tmp_path: Path) -> None:
    for name in DATASETS:
        folder = write(tmp_path, name, [entry(1, "{image#1} {image#2} ?", "a", choice_list=["a"])])
        (sample,) = load(folder)
        assert sample.dataset == name
        assert [path.exists() for path in sample.images] == [True, True]
        assert sample.images[0].parent == folder / "images"


def test_fields_arrive(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "TQA",
        [entry(7, "{image#1} why?", "b", choice_list=["a", "b"], instruction=1, images=1)],
        instructions=["zero", "one"],
    )
    (sample,) = load(folder)
    assert (sample.sample_id, sample.instruction, sample.choices) == (7, "one", ("a", "b"))
    assert (sample.context, sample.response, sample.image_count) == ("{image#1} why?", "b", 1)


@pytest.mark.parametrize("table", [["zero", "one"], {"0": "zero", "1": "one"}])
@pytest.mark.parametrize("key", [1, "1"])
def test_instructions_and_their_ids_come_in_two_types(tmp_path: Path, table: Any, key: Any) -> None:
    folder = write(tmp_path, "TQA", [entry(0, "x", "y", instruction=key)], instructions=table)
    assert load(folder)[0].instruction == "one"


def test_sample_ids_written_as_text_are_joined_as_numbers(tmp_path: Path) -> None:
    item = entry(3, "x", "y")
    item["sample_id"] = "3"
    assert load(write(tmp_path, "TQA", [item]))[0].sample_id == 3


def test_a_response_that_is_a_number_becomes_text(tmp_path: Path) -> None:
    assert load(write(tmp_path, "TQA", [entry(0, "x", 12)]))[0].response == "12"  # type: ignore[arg-type]


def test_variants_read_their_own_files(tmp_path: Path) -> None:
    folder = tmp_path / "TQA"
    assert annotation_file(folder).name == "TQA.json"
    assert annotation_file(folder, combined=1).name == "TQA.json"
    assert annotation_file(folder, combined=2).name == "TQA_combined_2.json"
    assert annotation_file(folder, adversarial=True).name == "TQA-adv.json"
    with pytest.raises(BadDataset, match="exclude"):
        annotation_file(folder, combined=2, adversarial=True)


def test_combined_shows_one_picture_and_counts_the_plain_ones(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "TQA",
        [entry(0, "{image#1}{image#9}", "y", images=9, combined_1_images=["c.jpg"])],
    )
    (sample,) = load(folder, combined=1)
    assert sample.images == (folder / "combined_1_images" / "c.jpg",)
    assert (sample.image_count, sample.level, sample.combined) == (9, "Medium", 1)


def test_combined_with_two_pictures_is_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path, "TQA", [entry(0, "x", "y", combined_2_images=["a", "b"])], suffix="_combined_2"
    )
    with pytest.raises(BadDataset, match="exactly one image"):
        load(folder, combined=2)


def test_adversarial_reads_the_other_file(tmp_path: Path) -> None:
    write(tmp_path, "TQA", [entry(0, "x", "plain")])
    folder = write(tmp_path, "TQA", [entry(0, "x", "shuffled")], suffix="-adv")
    assert load(folder, adversarial=True)[0].response == "shuffled"


@pytest.mark.parametrize(
    ("count", "level"), [(5, "Few"), (6, "Medium"), (31, "Medium"), (32, "Many")]
)
def test_the_level_is_recomputed_from_the_images(tmp_path: Path, count: int, level: str) -> None:
    assert quantity_level(count) == level
    assert load(write(tmp_path, "TQA", [entry(0, "x", "y", images=count)]))[0].level == level


def test_depth_from_a_field_from_evidence_and_from_a_text_needle(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        "TextNeedleInAHaystack",
        [
            entry(0, "x", "y", needle_depth=25),
            entry(1, "x", "y", depth=0.5),
            entry(2, "x", "y", evidence=[3], images=5),
            entry(3, "aaaa 77 aaaa", "77"),
            entry(4, "77 and 77", "77"),
        ],
        kind="open-ended",
    )
    depths = [sample.depth for sample in load(folder)]
    assert depths[:3] == [0.25, 0.5, 0.75]
    assert depths[3] == pytest.approx(0.5)
    assert depths[4] is None
    assert text_depth("", "") is None


def test_bad_folders_name_the_field(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="unpack MileBench"):
        load(tmp_path / "TQA")
    item = entry(0, "x", "y")
    del item["task_instance"]["context"]
    with pytest.raises(BadDataset, match="context"):
        load(write(tmp_path, "TQA", [item]))
    with pytest.raises(BadDataset, match="twice"):
        load(write(tmp_path, "TQA", [entry(0, "x", "y"), entry(0, "x", "y")]))
    with pytest.raises(BadDataset, match="question_type"):
        load(write(tmp_path, "TQA", [entry(0, "x", "y")], kind="essay"))
    (tmp_path / "TQA" / "TQA.json").write_text(json.dumps({})[:1])
    with pytest.raises(BadDataset, match="not JSON"):
        load(tmp_path / "TQA")


def test_tasks_average_datasets_not_samples() -> None:
    tasks = average_tasks(
        {
            "MMCoQA": 40.0,
            "ALFRED": 20.0,
            "TextNeedleInAHaystack": 10.0,
            "ImageNeedleInAHaystack": 0.0,
        }
    )
    assert tasks == {"S-4": 30.0, "N-1": 10.0, "N-2": 0.0, "NH": 5.0}
