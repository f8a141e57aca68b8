"""Fills the model volume with one pinned revision of a checkpoint, and proves it.

    python /app/fetch_model.py llava-hf/llava-v1.6-mistral-7b-hf <40-digit commit> /models/mistral

Run once by a job that may reach the network; workers only read. Every file is compared with the
checksums that the hub keeps for that commit before the folder gets its final name, so a worker
never sees half a model. Knows nothing of how a model is loaded.
"""

import re
import sys
from pathlib import Path

PATTERNS = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")
MARK = ".revision"


class FetchRefused(Exception):
    """The model cannot be fetched as asked; the message says what to change."""


def check_arguments(repo: str, revision: str, folder: Path) -> None:
    """Refuse a branch name, an odd repository and a volume that is not mounted."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise FetchRefused(f"repository: {repo!r} is not owner/name")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise FetchRefused(
            f"revision: {revision!r} is not a commit of 40 hex digits; a branch may change "
            f"(git ls-remote https://huggingface.co/{repo} HEAD prints the newest commit)"
        )
    if not folder.parent.is_dir():
        raise FetchRefused(f"folder: {folder.parent} does not exist; mount the model volume there")


def is_filled(folder: Path, repo: str, revision: str) -> bool:
    """Whether the folder already holds this revision, checked."""
    mark = folder / MARK
    return mark.is_file() and mark.read_text().split() == [repo, revision]


def fetch(repo: str, revision: str, folder: Path) -> None:
    """Download, verify and only then give the folder its name.

    Raises: FetchRefused when an argument is wrong, the folder is taken, or a checksum differs.
    """
    check_arguments(repo, revision, folder)
    if is_filled(folder, repo, revision):
        print(f"{folder} already holds {repo} at {revision}")
        return
    if folder.exists():
        raise FetchRefused(f"folder: {folder} exists and holds something else; name another folder")
    # a refusal, and a folder that is filled, need no client of the hub: a second of imports
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415

    partial = folder.with_name(f"{folder.name}.{revision[:12]}.partial")
    # a download that was cut off goes on where it stopped
    snapshot_download(repo, revision=revision, local_dir=partial, allow_patterns=list(PATTERNS))
    verdict = HfApi().verify_repo_checksums(repo, revision=revision, local_dir=partial)
    if verdict.mismatches:
        for wrong in verdict.mismatches:
            (partial / wrong["path"]).unlink()
        names = ", ".join(wrong["path"] for wrong in verdict.mismatches)
        raise FetchRefused(f"checksum: {names} differ from the hub's; removed, run the job again")
    lacking = [name for name in verdict.missing_paths if Path(name).match("*.safetensors")]
    if lacking or not any(partial.glob("*.safetensors")):
        raise FetchRefused(f"weights: no complete safetensors in {repo} (missing: {lacking})")
    (partial / MARK).write_text(f"{repo} {revision}\n")
    partial.rename(folder)
    print(f"{folder} holds {repo} at {revision}: {verdict.checked_count} files checked")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: fetch_model.py OWNER/NAME COMMIT FOLDER")
    try:
        fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    except FetchRefused as refused:
        sys.exit(f"fetch_model: {refused}")
