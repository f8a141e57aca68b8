"""Tells errors after which a process cannot go on from those that one request caused.

After a CUDA error every later call on the context fails, and after memory ran out nobody knows
what is left: the process gives its asks back and ends, to be started anew. Imports no torch.
"""

FATAL_NAMES = frozenset({"AcceleratorError", "OutOfMemoryError", "MemoryError"})
FATAL_TEXTS = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "cuDNN error", "device-side assert")


def is_fatal(error: BaseException) -> bool:
    """Whether the process must end; myopia's own `OutOfMemory` (a row too large) is not fatal."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & FATAL_NAMES:
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in FATAL_TEXTS)


def brief(error: BaseException) -> str:
    """One line for the ledger's `last_error` and the log, at most 300 characters."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:300]
