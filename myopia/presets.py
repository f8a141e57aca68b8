"""Named sets of pruning knobs: what we recommend, and what the paper says as far as it is known.

Values only. `default` is `Pruning()`; the README tells how its numbers were measured.
"""

from myopia.errors import BadRequest
from myopia.params import Pruning

PRESETS = {
    "default": Pruning(),
    # Alpha .5 and gamma within [1, 2.5] are stated; 20 bins without a bias and without regard to
    # images come from a third party's account; there is no word of floors per image.
    # The subsidy multiplies scores; how it does so, gamma's value and the rows that guide are not
    # known: an exponential over images, the range's middle, and the question's rows.
    "paper": Pruning(
        gamma=1.8,
        alpha=0.5,
        guide="question",
        subsidy="index",
        bin_mode="paper",
        bin_scope="global",
        min_per_image=0,
    ),
}


def preset(name: str) -> Pruning:
    """Look a preset up; BadRequest where there is none of that name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise BadRequest(f"preset must be one of {', '.join(PRESETS)}", field="/preset") from None
