"""Tensors by key in two tiers: on the device, and, once displaced there, in host memory.

Each tier forgets by bytes what was least recently used; what the host forgets is gone. A tensor is
in one tier at a time, and a hit in host memory brings it back. Where the device is the CPU the one
tier is host memory. Nothing here knows what the tensors are.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

import torch

from myopia.lru import ByteLru

K = TypeVar("K", bound=Hashable)


class Tiers(Generic[K]):
    """At most `device_bytes` of tensors on `device`, and `host_bytes` more in host memory."""

    def __init__(self, device: torch.device, device_bytes: int, host_bytes: int) -> None:
        self.device = device
        self.near: ByteLru[K, torch.Tensor] = ByteLru(device_bytes)
        self.far: ByteLru[K, torch.Tensor] = ByteLru(host_bytes)

    def __contains__(self, key: K) -> bool:
        """Whether it is in either tier; counts neither as a use nor as a miss."""
        return key in self.near or key in self.far

    @property
    def hits(self) -> int:
        """How often something was found, in either tier."""
        return self.near.hits + self.far.hits

    def get(self, key: K) -> torch.Tensor | None:
        """A tensor on the device, brought back to it from host memory where need be."""
        found = self.near.get(key)
        if found is not None:
            return found
        stored = self.far.get(key)
        if stored is None:
            return None
        back = stored.to(self.device, non_blocking=True, copy=True)
        if back.nbytes <= self.near.limit_bytes:
            self.put(key, back)
        return back

    def put(self, key: K, value: torch.Tensor) -> None:
        """Keep a tensor of the device; what it displaces there moves to host memory."""
        self.far.drop(key)
        for displaced, one in self.near.put(key, value, value.nbytes):
            size = _host_bytes(one)
            if size <= self.far.limit_bytes:
                self.far.put(displaced, _to_host(one), size)


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in host memory, pinned where it comes from CUDA.

    The copies of both directions are queued on the current stream, so the way back reads what the
    way there has written; torch keeps a pinned block until the copies queued on it are over.
    """
    stored = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return stored.copy_(tensor, non_blocking=True)


def _host_bytes(tensor: torch.Tensor) -> int:
    """What a copy takes: torch's allocator of pinned memory hands out powers of two."""
    size = tensor.nbytes
    return 1 << max(size - 1, 0).bit_length() if tensor.is_cuda else size
