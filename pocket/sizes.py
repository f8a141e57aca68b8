"""The three sizes on which tiles, processor and model must agree. Knows nothing else."""

TILE = 64  # pixels a side of what the vision tower sees at once
PATCH = 16  # pixels a side of one image token
PINPOINTS = [[64, 64], [64, 128], [128, 64], [128, 128]]  # (height, width) of the tile grids
