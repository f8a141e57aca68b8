"""What the service adds round the engine: latency, throughput, and the floors beside them."""
