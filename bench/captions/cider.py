"""CIDEr-D of captions against references, equal to pycocoevalcap's on tokenised text.

Source: Vedantam et al. 2015, with the clipping and length penalty of the released scorer, which is
what tables call CIDEr. Knows no pictures and no files.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

ORDERS = 4
SIGMA = 6.0
# Marks that the Penn Treebank tokenizer of the official evaluation throws away.
_MARKS = re.compile(r"[.,;:!?\"'`()\[\]{}…-]+")

Gram = tuple[str, ...]


def tokens(caption: str) -> list[str]:
    """Lower-case words without punctuation; the official Java tokenizer splits clitics as well."""
    return _MARKS.sub(" ", caption.lower()).split()


def cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """One score per picture; tables print 100 times their mean.

    `references[k]` are the captions that people wrote for picture k. Inverse document frequency
    comes from the references, so a score depends on all pictures scored with it.
    """
    if len(captions) != len(references) or any(not row for row in references):
        raise ValueError("every caption needs at least one reference, and every picture a caption")
    wanted = [[_grams(tokens(text)) for text in row] for row in references]
    frequency: Counter[Gram] = Counter()
    for row in wanted:
        frequency.update({gram for grams in row for gram in grams})
    log_pictures = math.log(len(wanted)) if wanted else 0.0
    scores = []
    for caption, row in zip(captions, wanted, strict=True):
        said = _Weighted(_grams(tokens(caption)), frequency, log_pictures)
        likeness = [said.likeness(_Weighted(grams, frequency, log_pictures)) for grams in row]
        scores.append(10 * sum(likeness) / len(likeness))
    return scores


def _grams(words: Sequence[str]) -> Counter[Gram]:
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, ORDERS + 1)
        for start in range(len(words) - order + 1)
    )


class _Weighted:
    """TF-IDF weights of one text's n-grams, by order, with their norms."""

    def __init__(self, grams: Counter[Gram], frequency: Counter[Gram], log_pictures: float) -> None:
        self.weights: list[dict[Gram, float]] = [{} for _ in range(ORDERS)]
        for gram, count in grams.items():
            rarity = log_pictures - math.log(max(1.0, frequency[gram]))
            self.weights[len(gram) - 1][gram] = count * rarity
        self.norms = [math.sqrt(sum(w * w for w in row.values())) for row in self.weights]
        # Sic: the released scorer takes the number of bigrams for the length.
        self.length = sum(count for gram, count in grams.items() if len(gram) == 2)

    def likeness(self, other: "_Weighted") -> float:
        """Mean over orders of the clipped cosine, damped by the difference in length."""
        damping = math.exp(-((self.length - other.length) ** 2) / (2 * SIGMA**2))
        total = 0.0
        for order in range(ORDERS):
            theirs = other.weights[order]
            shared = sum(
                min(weight, theirs[gram]) * theirs[gram]
                for gram, weight in self.weights[order].items()
                if gram in theirs
            )
            scale = self.norms[order] * other.norms[order]
            total += (shared / scale if scale else shared) * damping
        return total / ORDERS
