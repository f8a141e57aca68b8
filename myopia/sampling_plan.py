"""Which rows of a prompt enter the cumulative score one by one, and which in groups.

Exact while the images end before `EXACT_UNTIL`; beyond, image rows are summed in groups of like
ones (`columns_grouped`), all others one by one (docs/decisions/0083). The plan depends on the spans
alone, so a prefix and its continuations agree on it.
"""

import torch

from myopia.layout import Layout

# On one CPU thread an exact pass takes 9.6 % of a 7B layer's own time at 3600 tokens, and its share
# grows with the length.
EXACT_UNTIL = 4096
MOST_TEXT_ROWS = 256


def cumulative_rows(
    layout: Layout, exact_until: int = EXACT_UNTIL
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions `(R,)` and `(G,)`, int64 ascending: rows summed one by one, and in groups.

    Rows before the first image see none and are left out.
    """
    empty = torch.empty(0, dtype=torch.long)
    if not layout.spans:
        return empty, empty
    rows = torch.arange(layout.spans[0].start, layout.length)
    if layout.spans[-1].stop <= exact_until:
        return rows, empty
    grouped = torch.zeros(len(rows), dtype=torch.bool)
    for span in layout.spans:
        grouped[span.start - int(rows[0]) : span.stop - int(rows[0])] = True
    return rows[~grouped], rows[grouped]


def asking_rows(layout: Layout, most: int = MOST_TEXT_ROWS) -> tuple[torch.Tensor, float]:
    """At most `most` of the text rows, evenly spread, and the weight of each."""
    rows = torch.tensor(layout.text_rows, dtype=torch.long)
    if len(rows) <= most:
        return rows, 1.0
    spread = (torch.arange(most) * len(rows)) // most
    return rows[spread], len(rows) / most
