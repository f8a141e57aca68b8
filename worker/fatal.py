"""Tells errors after which a process cannot go on from those that one request caused.

After a CUDA error every later call on the context fails, and after memory ran out nobody knows
what is left: the process gives its asks back and ends, to be started anew. Imports no torch.
"""

MEMORY_NAMES = frozenset({"OutOfMemoryError", "MemoryError"})
DEVICE_TEXTS = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "cuDNN error", "device-side assert")


def ruins_device(error: BaseException) -> bool:
    """Whether no later call on the device can succeed in this process."""
    if "AcceleratorError" in _names(error):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in DEVICE_TEXTS)


def is_fatal(error: BaseException) -> bool:
    """Whether a process must end that this error reached outside of any row.

    myopia's own `OutOfMemory` (a row that would not fit) is no such error.
    """
    return ruins_device(error) or bool(_names(error) & MEMORY_NAMES)


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def brief(error: BaseException) -> str:
    """One line for the ledger's `last_error` and the log, at most 300 characters."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:300]
