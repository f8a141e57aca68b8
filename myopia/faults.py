"""Which exceptions are one row's own trouble, and what its asker is told about them.

Anything else that is thrown is the runner's business. Nothing here knows rows.
"""

import torch

from myopia.errors import MyopiaError, OutOfMemory

# What a policy, a kernel or a tokenizer may throw at one row; anything else is the runner's.
ROW_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    MyopiaError,
    RuntimeError,
    TypeError,
    ValueError,
)


def fault_of(error: Exception) -> MyopiaError:
    """The error an asker gets for whatever went wrong with the ask."""
    if isinstance(error, MyopiaError):
        return error
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        fault: MyopiaError = OutOfMemory("memory ran out while reading this ask; send less")
    else:
        fault = MyopiaError("the engine failed on this ask; asking again may help")
    fault.__cause__ = error
    return fault
