"""A plugin for lmms-eval: `LMMS_EVAL_PLUGINS=bench.lmms python -m lmms_eval --model myopia …`."""
