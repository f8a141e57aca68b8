"""Which prunings are measured, under which label; one list, so that samples are shared.

Knows the library's parameters and nothing of how they are run.
"""

from dataclasses import dataclass, replace

from myopia.params import Pruning
from myopia.policies import POLICIES

BUDGETS = (0.4, 0.2, 0.1, 0.05)
GAMMAS = (1.0, 1.8, 2.5, 4.0)
ALPHAS = (0.0, 0.2, 0.5, 0.8, 1.0)
SUBSIDIES = ("index", "index_power", "exp", "fitted", "visible", "quota")
SURFACE_BUDGET = 0.1
# Rows that are no pruning of the library's: the whole cache, no picture's KV, no picture at all.
FULL, NONE, TEXT = "full", "none", "text-only"


@dataclass(frozen=True, slots=True)
class Variant:
    """A pruning under a name that is the same at every budget."""

    label: str
    pruning: Pruning

    @property
    def name(self) -> str:
        """Label and budget: the key of results."""
        return f"{self.label}@{self.pruning.budget:g}"


def policies(budgets: tuple[float, ...] = BUDGETS) -> list[Variant]:
    """Every policy of the library with its defaults, but `full`."""
    return [
        Variant(policy, Pruning(policy=policy, budget=budget))
        for policy in POLICIES
        if policy != "full"
        for budget in budgets
    ]


def head_modes(budgets: tuple[float, ...] = (0.2, 0.1, 0.05)) -> list[Variant]:
    """Table A1: one kept set per layer (the default) against one per key head."""
    return [
        Variant("myopia head-wise", Pruning(budget=budget, head_mode="wise")) for budget in budgets
    ]


def bins(budgets: tuple[float, ...] = (0.2, 0.1, 0.05)) -> list[Variant]:
    """Bins without bias, and none; a bin is paid for, so `off` is the control of equal memory."""
    variants = []
    for budget in budgets:
        plain = Pruning(budget=budget)
        variants += [
            Variant("myopia bins off", replace(plain, bin_mode="off")),
            Variant("myopia bins paper", replace(plain, bin_mode="paper")),
            Variant("myopia bins global", replace(plain, bin_scope="global")),
            Variant("myopia alpha 0 bins off", replace(plain, bin_mode="off", alpha=0.0)),
            Variant("myopia alpha 0 bins mass", replace(plain, alpha=0.0)),
            Variant("myopia alpha 0 bins paper", replace(plain, bin_mode="paper", alpha=0.0)),
        ]
    return variants


def surface(budget: float = SURFACE_BUDGET) -> list[Variant]:
    """Gamma by alpha, bins off so that only the score differs."""
    return [
        Variant(
            f"gamma {gamma:g} alpha {alpha:g}",
            Pruning(budget=budget, gamma=gamma, alpha=alpha, bin_mode="off"),
        )
        for gamma in GAMMAS
        for alpha in ALPHAS
    ]


def subsidies(budgets: tuple[float, ...] = (0.2, 0.1)) -> list[Variant]:
    """Functional forms of the subsidy at the cumulative score and at the default mix."""
    return [
        Variant(
            f"subsidy {form} alpha {alpha:g}",
            Pruning(budget=budget, subsidy=form, alpha=alpha, bin_mode="off"),
        )
        for form in SUBSIDIES
        for alpha in (0.0, 0.5)
        for budget in budgets
    ]


def candidates(budgets: tuple[float, ...] = BUDGETS) -> list[Variant]:
    """Rules that might serve better than the defaults, from the same parts."""
    variants = []
    for budget in budgets:
        text = Pruning(budget=budget, alpha=1.0, gamma=1.0, bin_mode="off")
        variants += [
            Variant("text", text),
            Variant("text bins", replace(text, bin_mode="mass")),
            Variant("text quota", replace(text, subsidy="quota")),
            Variant("quota", replace(text, alpha=0.8, subsidy="quota", bin_mode="mass")),
            Variant("quota bins off", replace(text, alpha=0.8, subsidy="quota")),
        ]
    return variants


def probes(budgets: tuple[float, ...] = BUDGETS) -> list[Variant]:
    """Caption probes of the blind protocol: freely, and with a quota for every image."""
    variants = []
    for budget in budgets:
        plain = Pruning(budget=budget, alpha=1.0, gamma=1.0, bin_mode="off")
        variants += [
            Variant("probe", plain),
            Variant("probe quota", replace(plain, subsidy="quota")),
        ]
    return variants


def everything() -> list[Variant]:
    """All tables' variants."""
    return [*policies(), *head_modes(), *bins(), *candidates(), *surface(), *subsidies()]


def reduced() -> list[Variant]:
    """What CI runs: every policy at one budget."""
    return policies((0.2,))
