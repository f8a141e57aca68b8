"""`python -m myopia.explain PICTURE… --question …`: what a pruned model was left to see, as PNG.

Writes `attention.png` (the paper's Figure A2: share by image, one line per layer), one overlay
per picture, and `explain.json`. Uses the library door; knows no service.
"""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from myopia import budget
from myopia.door import MyopiaCache
from myopia.door_prompt import RowPrompt
from myopia.errors import MyopiaError, Unsupported
from myopia.figure import draw_shares
from myopia.loading import Checkpoint, load
from myopia.overlay import draw_kept
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.pictures import read_picture
from myopia.policies import POLICIES
from myopia.prompt import build_prompt
from myopia.vision import Vision

FEATURE_BYTES = 2**30


def main(arguments: list[str] | None = None) -> int:
    """Answer, draw and tell; 0, or 2 with a sentence on stderr where something is wrong."""
    asked = _parser().parse_args(arguments)
    try:
        pictures = [
            read_picture(path.read_bytes(), index=index)
            for index, path in enumerate(asked.pictures)
        ]
        pruning = Pruning(asked.policy, asked.budget, gamma=asked.gamma, alpha=asked.alpha)
        budget.check(pruning)
        checkpoint = load(asked.model or shipped_model(), device=asked.device)
        answer, told = explain(checkpoint, pictures, asked.question, pruning, asked.max_tokens)
    except (MyopiaError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    asked.out.mkdir(parents=True, exist_ok=True)
    for path in write(told, pictures, asked.out):
        print(f"wrote {path}")
    print(_table(told))
    print(f"answer: {answer}")
    return 0


def explain(
    checkpoint: Checkpoint,
    pictures: list[Picture],
    question: str,
    pruning: Pruning,
    max_tokens: int = 32,
) -> tuple[str, dict[str, Any]]:
    """Answer greedily over a pruned cache; the answer, and `explain_row`'s numbers."""
    request = Request(
        "ask_explain0",
        (Turn("user", (*pictures, question)),),
        pruning=pruning,
        sampling=Sampling(max_tokens=max_tokens),
    )
    prompt = build_prompt(checkpoint, request)
    vision, model = Vision(checkpoint, FEATURE_BYTES), checkpoint.model
    with torch.inference_mode():
        features = vision.look(pictures, prompt.tiles)
        cache = MyopiaCache.for_rows(model, [RowPrompt(0, prompt.layout)], pruning, explain=True)
        ids = torch.tensor([prompt.ids], device=checkpoint.device)
        found: Any = model.generate(  # type: ignore[misc]
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=features)},  # type: ignore[arg-type]
            past_key_values=cache,
            max_new_tokens=max_tokens,
            do_sample=False,
        )
    answer = checkpoint.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)
    return answer.strip(), cache.explanation()


def write(told: dict[str, Any], pictures: list[Picture], folder: Path) -> list[Path]:
    """Write the numbers, the figure (where attention was seen) and the overlays; their paths."""
    written = [folder / "explain.json"]
    written[0].write_text(json.dumps(told), encoding="utf-8")
    shares = [row for row in told["by_layer"]["before"] if row]
    if shares:
        written.append(folder / "attention.png")
        title = f"Share of attention by image, before the subsidy ({told['policy']})"
        draw_shares(shares, title).save(written[-1])
    for number, (picture, image) in enumerate(zip(pictures, told["images"], strict=True), 1):
        written.append(folder / f"kept-{number}.png")
        draw_kept(picture.image, image["groups"][0]["grid"]).save(written[-1])
    return written


def shipped_model() -> str:
    """Folder of the small model that comes with the repository; its package is not imported."""
    spec = find_spec("pocket")
    folder = Path(spec.origin).parent / "weights" if spec and spec.origin else None
    if folder is None or not folder.is_dir():
        raise Unsupported("no model came with this installation: name one with --model")
    return str(folder)


def _table(told: dict[str, Any]) -> str:
    lines = ["image  tokens    kept   before    after  bins"]
    for number, image in enumerate(told["images"], 1):
        whole = image["groups"][0]
        shares = "  ".join(
            "      -" if whole[name] is None else f"{100 * whole[name]:5.1f} %"
            for name in ("before", "after")
        )
        line = f"{number:5}  {image['tokens']:6}  {whole['kept']:6.1f}  {shares}"
        lines.append(f"{line}  {len(whole['bins']):4}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m myopia.explain", description="Show what a pruned model was left to see."
    )
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--question", required=True)
    parser.add_argument("--model", help="folder or hub name; the shipped small model if left out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--policy", default="myopia", choices=sorted(POLICIES))
    parser.add_argument("--budget", type=float, default=0.2)
    parser.add_argument("--gamma", type=float, default=Pruning().gamma)
    parser.add_argument("--alpha", type=float, default=Pruning().alpha)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("explained"), help="folder for the PNGs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
