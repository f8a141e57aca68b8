"""The table that lmms-eval reads from a plugin: model name to class name."""

AVAILABLE_MODELS = {"myopia": "Myopia"}
