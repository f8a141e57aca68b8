"""From a picture to the rows that stand in its span, computed once per picture and tile choice.

Nothing here knows questions, policies or batches.
"""

from collections.abc import Sequence

import torch

from myopia.loading import Checkpoint
from myopia.params import Picture
from myopia.tiers import Tiers
from myopia.tiles import TilesUsed

Features = torch.Tensor  # (tokens of the picture, hidden)


class Vision:
    """Image features by the picture's content hash: on the device, the older in host memory.

    `host_bytes` count only where the device is not the host.
    """

    def __init__(self, checkpoint: Checkpoint, cache_bytes: int, host_bytes: int = 0) -> None:
        self.checkpoint = checkpoint
        second = 0 if checkpoint.device.type == "cpu" else host_bytes
        self.cache: Tiers[tuple[str, TilesUsed]] = Tiers(checkpoint.device, cache_bytes, second)

    def known(self, picture: Picture, tiles: TilesUsed) -> Features | None:
        """Features of a picture that was computed before."""
        found = self.cache.get((picture.digest, tiles))
        if found is None and tiles == "base" and (picture.digest, "max") in self.cache:
            whole = self.cache.get((picture.digest, "max"))
            assert whole is not None  # the base tile comes first in the packed features
            found = whole[: self.checkpoint.tiling.side**2]
        return found

    def look(self, pictures: Sequence[Picture], tiles: TilesUsed) -> list[Features]:
        """Features of each picture, computed together and kept."""
        features = self._compute(pictures, tiles)
        for picture, one in zip(pictures, features, strict=True):
            self.cache.put((picture.digest, tiles), one)
        return features

    def _compute(self, pictures: Sequence[Picture], tiles: TilesUsed) -> list[Features]:
        model = self.checkpoint.model
        pixels = self.checkpoint.image_processor(
            [picture.image for picture in pictures], return_tensors="pt"
        )
        values = pixels["pixel_values"].to(self.checkpoint.device, self.checkpoint.dtype)
        if tiles == "max":
            packed = model.get_image_features(values, pixels["image_sizes"]).pooler_output
            return [torch.as_tensor(one) for one in packed]
        config = model.config
        hidden = model.model.vision_tower(values[:, 0], output_hidden_states=True).hidden_states
        layers = config.vision_feature_layer
        chosen = (
            hidden[layers]
            if isinstance(layers, int)
            else torch.cat([hidden[layer] for layer in layers], dim=-1)
        )
        # Clones: a view would keep all pictures' features as long as one of them is kept.
        return [one.clone() for one in model.model.multi_modal_projector(chosen[:, 1:])]
