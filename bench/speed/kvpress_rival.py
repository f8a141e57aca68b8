"""Stock `generate()` under kvpress' SnapKV, as a process of its own environment.

kvpress 0.5.5 pins transformers below 5.3, so this file runs under another Python and imports
nothing of this repository. It reads one job per line: a file of inputs, how many tokens, whether
together; it writes what was answered, and the seconds of processor time and of the wall it took.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from kvpress import SnapKVPress  # type: ignore[import-not-found, unused-ignore]
from safetensors.torch import load_file
from transformers import AutoConfig, GenerationConfig, LlavaNextForConditionalGeneration

WINDOW = 8  # kvpress asks for more tokens than its window, which is 64 by default


# Names in the file, and in transformers 5.2; the first that fits.
PREFIXES = {
    "language_model.lm_head.": "lm_head.",
    "language_model.model.": "model.language_model.",
    "vision_tower.vision_model.": "model.vision_tower.vision_model.",
    "vision_tower.": "model.vision_tower.vision_model.",
    "": "model.",
}


def loaded(folder: Path) -> Any:  # noqa: ANN401 - another transformers than the one checked here
    """The checkpoint by whatever transformers this is; it does not map the tower's names itself."""
    weights = {
        next(
            new + name.removeprefix(old) for old, new in PREFIXES.items() if name.startswith(old)
        ): one
        for name, one in load_file(folder / "model.safetensors").items()
    }
    config = AutoConfig.from_pretrained(folder)
    model: Any = LlavaNextForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any("lm_head" not in name for name in missing):
        raise SystemExit(f"weights do not fit: {missing[:3]}, {unexpected[:3]}")
    model.tie_weights()
    endings: Any = GenerationConfig
    model.generation_config = endings(
        do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=1
    )
    return model.eval()


def main() -> None:
    """Serve jobs until there are none."""
    torch.set_num_threads(int(sys.argv[2]))
    model = loaded(Path(sys.argv[1]))
    press = SnapKVPress(compression_ratio=1 - float(sys.argv[3]), window_size=WINDOW)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        tokens = []
        began = time.process_time(), time.perf_counter()
        for inputs in torch.load(job["inputs"]):
            with torch.inference_mode(), press(model):
                made = model.generate(**inputs, max_new_tokens=job["tokens"])
            tokens.append(made[:, inputs["input_ids"].shape[1] :].tolist())
        spent = {"cpu": time.process_time() - began[0], "wall": time.perf_counter() - began[1]}
        print(json.dumps({**spent, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    main()
