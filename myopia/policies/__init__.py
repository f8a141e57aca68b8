"""The table of policies: a name of the wire, and the object that scores.

Adding one is a file, a line here, and its name in the wire's Literal.
"""

from dataclasses import fields

from myopia.errors import BadRequest
from myopia.evidence import Needs
from myopia.params import Pruning
from myopia.policies.airv import AirV
from myopia.policies.chance import Random
from myopia.policies.fastv import FastV
from myopia.policies.full import Full
from myopia.policies.h2o import H2O
from myopia.policies.look_m import LookM
from myopia.policies.myopia import Myopia
from myopia.policies.policy import Policy
from myopia.policies.prefixkv import PrefixKV
from myopia.policies.pyramidkv import PyramidKV
from myopia.policies.snapkv import SnapKV
from myopia.policies.streaming import Streaming
from myopia.policies.uniform import Uniform
from myopia.policies.vl_cache import VLCache

POLICIES: dict[str, Policy] = {
    "full": Full(),
    "myopia": Myopia(),
    "fastv": FastV(),
    "h2o": H2O(),
    "snapkv": SnapKV(),
    "pyramidkv": PyramidKV(),
    "look-m": LookM(),
    "prefixkv": PrefixKV(),
    "vl-cache": VLCache(),
    "airv": AirV(),
    "random": Random(),
    "uniform": Uniform(),
    "streaming": Streaming(),
}

# Obeyed whatever the policy.
COMMON_KNOBS = frozenset({"policy", "budget", "budget_scope", "newline_policy", "layer_budgets"})
DEFAULTS = {field.name: field.default for field in fields(Pruning)}


def policy_of(pruning: Pruning) -> Policy:
    """Look the policy up; BadRequest where the name is unknown."""
    try:
        return POLICIES[pruning.policy]
    except KeyError:
        raise BadRequest(
            f"policy must be one of {', '.join(POLICIES)}", field="/pruning/policy"
        ) from None


def needs_of(pruning: Pruning) -> Needs:
    """Which rows this row's policy must see; nothing where nothing will be pruned."""
    policy = policy_of(pruning)
    return Needs() if pruning.budget >= 1 else policy.needs(pruning)


def refuse_idle_knobs(pruning: Pruning) -> None:
    """BadRequest where a knob is turned that the policy does not have."""
    heard = policy_of(pruning).knobs | COMMON_KNOBS
    for name, default in DEFAULTS.items():
        if name not in heard and getattr(pruning, name) != default:
            raise BadRequest(
                f"policy {pruning.policy} has no {name}: leave it at {default} or use a policy "
                f"that has it ({', '.join(_having(name))})",
                field=f"/pruning/{name}",
            )


def _having(knob: str) -> list[str]:
    return [name for name, policy in POLICIES.items() if knob in policy.knobs]
