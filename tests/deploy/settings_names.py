"""Every environment name that some settings class of ours reads."""

import importlib
import inspect

from pydantic_settings import BaseSettings

MODULES = ("service.settings", "wire.settings", "worker.settings")


def settings_names() -> frozenset[str]:
    """Upper-case names with their prefix, of all settings classes of all rooms."""
    names: set[str] = set()
    for module in MODULES:
        for _, found in inspect.getmembers(importlib.import_module(module), inspect.isclass):
            if issubclass(found, BaseSettings) and found is not BaseSettings:
                prefix = str(found.model_config.get("env_prefix", ""))
                names.update((prefix + field).upper() for field in found.model_fields)
    return frozenset(names)
