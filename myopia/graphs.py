"""Captures a padded step as a CUDA graph: hundreds of launches become one.

Nothing here knows what the step does, only that it may be repeated. A step that is captured costs
its warm-up once; all graphs share one pool of memory, since one runs at a time.
"""

from collections.abc import Callable

import torch

from myopia.padded import PaddedStep

WARM_UPS = 2  # kernels are compiled and libraries make their plans before anything is captured


class Graphs:
    """Steps by their buckets, captured."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, step: PaddedStep) -> Callable[[], torch.Tensor]:
        """A replay of `step.forward`; its logits are overwritten by the next replay of any graph.

        The step must have no rows loaded, so that trying it out changes none. Raises RuntimeError
        where the step cannot be captured.
        """
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                step.forward()
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = step.forward()

        def replay() -> torch.Tensor:
            graph.replay()
            return logits

        return replay
