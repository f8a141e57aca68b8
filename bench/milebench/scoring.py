"""Scores one answer to one sample, by the rule of its dataset. Knows no run and no report."""

from typing import Literal

from bench.milebench.matching import letter, match_choice, process
from bench.milebench.rouge import rouge_l
from bench.milebench.samples import BadDataset, Sample

Rule = Literal["needle", "contains", "rouge-l", "choice"]


def rule_of(sample: Sample) -> Rule:
    """Which rule scores a sample: by folder name first, then by question type."""
    if "NeedleInAHaystack" in sample.dataset:
        return "needle"
    if "MMCoQA" in sample.dataset:
        return "contains"
    return "rouge-l" if sample.question_type == "open-ended" else "choice"


def score(sample: Sample, answer: str) -> float:
    """Score in [0, 1]; accuracy rules give 0 or 1.

    Raises `BadDataset` where the right response is not among the choices.
    """
    said, wanted = process(answer), process(sample.response)
    match rule_of(sample):
        case "needle":
            return float(wanted in said.split())
        case "contains":
            return float(wanted in said)
        case "rouge-l":
            return _rouge(said, wanted)
        case "choice":
            return float(_chosen_right(sample, said, wanted))


def _rouge(said: str, wanted: str) -> float:
    try:
        return rouge_l(said, wanted) if said else 0.0
    except ValueError:
        return 0.0  # nothing but periods was said; the official scorer stops there


def _chosen_right(sample: Sample, said: str, wanted: str) -> bool:
    choices = [process(choice) for choice in sample.choices]
    if wanted not in choices:
        raise BadDataset(
            f"{sample.dataset} sample {sample.sample_id}: response is not in choice_list"
        )
    return match_choice(said, choices) == letter(choices.index(wanted))
