"""`python -m bench.pocketbench OUT`: draw the datasets into MileBench's folder layout."""

import argparse
from pathlib import Path

from bench.pocketbench.writing import DRAWN, IMAGE_COUNTS, write_dataset


def main() -> None:
    """Read the arguments and write the folders."""
    parser = argparse.ArgumentParser(prog="python -m bench.pocketbench", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--datasets", nargs="*", choices=list(DRAWN), default=list(DRAWN))
    parser.add_argument("--samples", type=int, default=24, help="per dataset and image count")
    parser.add_argument("--images", type=int, nargs="*", default=list(IMAGE_COUNTS))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for dataset in asked.datasets:
        print(write_dataset(asked.out, dataset, asked.samples, asked.images, asked.seed))


if __name__ == "__main__":
    main()
