"""Which prunings are measured, under which label; one list, so that samples are shared.

Knows the library's parameters and nothing of how they are run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from myopia.params import Pruning
from myopia.policies import POLICIES
from myopia.presets import PRESETS
from myopia.subsidy import FORMS

BUDGETS = (0.4, 0.2, 0.1, 0.05)
LOW = (0.2, 0.1, 0.05)
TABLE_BUDGET = 0.1
GAMMAS = (1.0, 1.8, 2.5, 4.0)
ALPHAS = (0.0, 0.2, 0.5, 0.8, 1.0)
SUBSIDIES = FORMS
SURFACE_BUDGET = 0.1
# Rows that are no pruning of the library's: the whole cache, no picture's KV, no picture at all.
FULL, NONE, TEXT = "full", "none", "text-only"
# What the surfaces vary: the paper's subsidy on the mixed score, without bins, so that only the
# score differs.
PLAIN = Pruning(guide="question", subsidy="index", gamma=1.8, alpha=0.5, bin_mode="off")


@dataclass(frozen=True, slots=True)
class Variant:
    """A pruning under a name that is the same at every budget."""

    label: str
    pruning: Pruning

    @property
    def name(self) -> str:
        """Label and budget: the key of results."""
        return f"{self.label}@{self.pruning.budget:g}"


def at(label: str, pruning: Pruning, budgets: Sequence[float]) -> list[Variant]:
    """One pruning at several budgets."""
    return [Variant(label, replace(pruning, budget=budget)) for budget in budgets]


def policies(budgets: Sequence[float] = BUDGETS) -> list[Variant]:
    """Every policy of the library with its defaults, but `full`."""
    names = [name for name in POLICIES if name != FULL]
    return [one for name in names for one in at(name, Pruning(policy=name), budgets)]


def rivals(budgets: Sequence[float] = LOW) -> list[Variant]:
    """The other presets (`myopia` is the preset `default`), and the paper's with our bins."""
    others = {f"preset {name}": knobs for name, knobs in PRESETS.items() if name != "default"}
    others["paper, our bins"] = replace(PLAIN, bin_mode="matched")
    return [one for name, knobs in others.items() for one in at(name, knobs, budgets)]


def table() -> list[Variant]:
    """README's table, and the default's own goals at .2 and .05."""
    here = (TABLE_BUDGET,)
    return [*policies(here), *rivals(here), *at("myopia", Pruning(), (0.2, 0.05))]


def sharing(budgets: Sequence[float] = LOW) -> list[Variant]:
    """What the default's two parts are worth: no asked images, and tokens alike kept together."""
    return [
        one
        for form in ("quota", "peaks")
        for one in at(f"myopia, {form}", Pruning(subsidy=form), budgets)
    ]


def head_modes(budgets: Sequence[float] = LOW) -> list[Variant]:
    """Table A1: one kept set per layer (the default) against one per key head."""
    return at("myopia head-wise", Pruning(head_mode="wise"), budgets)


def bins(budgets: Sequence[float] = LOW) -> list[Variant]:
    """Bins on, without bias, and none; a bin is paid for, so `off` is the equal-memory control.

    Also on sums over all rows alone: there is nothing as good to displace.
    """
    summed = replace(PLAIN, alpha=0.0)
    variants = []
    for label, base in (("myopia", Pruning()), ("sums", summed)):
        for mode in ("off", "matched", "mass", "paper"):
            variants += at(f"{label}, bins {mode}", replace(base, bin_mode=mode), budgets)
    return variants


def surface(budget: float = SURFACE_BUDGET) -> list[Variant]:
    """Gamma by alpha."""
    return [
        Variant(
            f"gamma {gamma:g} alpha {alpha:g}",
            replace(PLAIN, budget=budget, gamma=gamma, alpha=alpha),
        )
        for gamma in GAMMAS
        for alpha in ALPHAS
    ]


def subsidies(budgets: Sequence[float] = (0.2, 0.1)) -> list[Variant]:
    """Functional forms of the subsidy at the cumulative score and at an even mix."""
    return [
        one
        for form in SUBSIDIES
        for alpha in (0.0, 0.5)
        for one in at(
            f"subsidy {form} alpha {alpha:g}",
            replace(PLAIN, subsidy=form, alpha=alpha),
            budgets,
        )
    ]


def rods(budgets: Sequence[float] = (0.2, 0.1)) -> list[Variant]:
    """Chance, to read a table of one policy's knobs with."""
    return at("random", Pruning(policy="random"), budgets)


def probes(budgets: Sequence[float] = LOW) -> list[Variant]:
    """Caption probes of the blind protocol: freely, and with a quota for every image."""
    plain = replace(PLAIN, alpha=1.0, gamma=1.0, guide="question")
    quota = replace(plain, subsidy="quota")
    return [*at("probe", plain, budgets), *at("probe quota", quota, budgets)]


def reduced() -> list[Variant]:
    """What CI runs: the default, and what every table is read with."""
    return [
        *at("myopia", Pruning(), (0.2, 0.1)),
        *rods(),
        *at("h2o", Pruning(policy="h2o"), (0.2, 0.1)),
    ]
