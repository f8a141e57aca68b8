"""Faults put on purpose into real processes, and the books that prove nothing was lost.

`python -m tests.system.chaos` (or `make chaos`) runs every row of the table that this machine
allows, and writes `build/chaos.json` and a table.
"""
