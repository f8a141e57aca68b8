"""From a picture to the rows that stand in its span, computed once per picture and tile choice.

Nothing here knows questions, policies or batches.
"""

import torch

from myopia.loading import Checkpoint
from myopia.lru import ByteLru
from myopia.params import Picture
from myopia.tiles import TilesUsed

Features = torch.Tensor  # (tokens of the picture, hidden)


class Vision:
    """Image features, cached by the picture's content hash (least recently used, by bytes)."""

    def __init__(self, checkpoint: Checkpoint, cache_bytes: int) -> None:
        self.checkpoint = checkpoint
        self.cache: ByteLru[tuple[str, TilesUsed], Features] = ByteLru(cache_bytes)

    def look(self, picture: Picture, tiles: TilesUsed) -> tuple[Features, bool]:
        """Features of one picture, and whether they were cached."""
        found = self.cache.get((picture.digest, tiles))
        if found is None and tiles == "base" and (picture.digest, "max") in self.cache:
            whole = self.cache.get((picture.digest, "max"))
            assert whole is not None  # the base tile comes first in the packed features
            found = whole[: self.checkpoint.tiling.side**2]
        if found is not None:
            return found, True
        features = self._compute(picture, tiles)
        size = features.numel() * features.element_size()
        self.cache.put((picture.digest, tiles), features, size)
        return features, False

    def _compute(self, picture: Picture, tiles: TilesUsed) -> Features:
        model = self.checkpoint.model
        pixels = self.checkpoint.image_processor([picture.image], return_tensors="pt")
        values = pixels["pixel_values"].to(self.checkpoint.device, self.checkpoint.dtype)
        if tiles == "max":
            packed = model.get_image_features(values, pixels["image_sizes"]).pooler_output
            return torch.as_tensor(packed[0])
        config = model.config
        hidden = model.model.vision_tower(values[:, 0], output_hidden_states=True).hidden_states
        layers = config.vision_feature_layer
        chosen = (
            hidden[layers]
            if isinstance(layers, int)
            else torch.cat([hidden[layer] for layer in layers], dim=-1)
        )
        return torch.as_tensor(model.model.multi_modal_projector(chosen[:, 1:])[0])
