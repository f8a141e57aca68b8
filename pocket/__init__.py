"""A LLaVA-NeXT small enough to ship: draws pictures, asks about them, trains, keeps its weights.

Importing this package is cheap: it knows where the weights lie and imports no torch.
"""

from pathlib import Path

__all__ = ["weights_folder"]


def weights_folder() -> Path:
    """Folder of the shipped checkpoint, ready for `from_pretrained`."""
    return Path(__file__).resolve().parent / "weights"
