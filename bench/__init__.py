"""How good and how fast: MileBench harness, quality tables, speed and load benchmarks."""
