"""A short name for exactly these weights, tokenizer and processor, for the keys of caches.

Small files are hashed whole. Of a big weights file (the published ones have 15 GB) the size, the
safetensors header and 64 evenly spaced blocks are: training moves nearly every weight, so another
training shows, and hashing takes a second instead of a minute. A file edited by hand in a few
bytes between the blocks would not show.
"""

import hashlib
from pathlib import Path

WHOLE_FILE_BYTES = 64 * 2**20
BLOCK_BYTES = 64 * 2**10
BLOCKS = 64
# Lie beside the weights and are not read by the model: measuring it must not change its name.
BESIDE = {"calibration.json", "card.json", "training.json"}
KINDS = {".json", ".jinja", ".safetensors", ".bin", ".model", ".txt"}


def revision_of(folder: Path) -> str:
    """The first 16 hex digits of the SHA-256 over names and contents of what is loaded."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_file() and path.suffix in KINDS and path.name not in BESIDE:
            total.update(path.name.encode() + b"\0" + _digest(path))
    return total.hexdigest()[:16]


def _digest(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with path.open("rb") as file:
        if size <= WHOLE_FILE_BYTES:
            digest.update(file.read())
            return digest.digest()
        header = min(int.from_bytes(file.read(8), "little"), WHOLE_FILE_BYTES)
        digest.update(file.read(header))
        for block in range(BLOCKS):
            file.seek((size - BLOCK_BYTES) * block // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.digest()
