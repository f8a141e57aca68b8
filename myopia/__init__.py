"""LLaVA-NeXT with a rectified, pruned KV cache; usable from a notebook, ignorant of the service.

    from myopia import MyopiaCache, Pruning
    model.generate(**inputs, past_key_values=MyopiaCache(model, Pruning(budget=0.2)))

Names are looked up when asked for, so that `import myopia` costs no import of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from myopia.door import MyopiaCache
    from myopia.errors import BadRequest, MyopiaError, Unsupported
    from myopia.params import Pruning
    from myopia.policies import POLICIES

__all__ = ["POLICIES", "BadRequest", "MyopiaCache", "MyopiaError", "Pruning", "Unsupported"]

_HOMES = {
    "POLICIES": "policies",
    "BadRequest": "errors",
    "MyopiaCache": "door",
    "MyopiaError": "errors",
    "Pruning": "params",
    "Unsupported": "errors",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the exported names
    """Import an exported name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'myopia' has no attribute {name!r}")
    return getattr(import_module(f"myopia.{_HOMES[name]}"), name)
