"""What a number must say of where it was made: package versions and the commit of this checkout.

provenance()      # {'versions': {'torch': '2.13.0', ...}, 'commit': '1139b56+changes'}
"""

import platform
import subprocess
from functools import cache
from importlib import metadata
from typing import Any

from harness import __version__
from harness.api.registry import ROOT

PACKAGES = ("accelerate", "datasets", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers")


@cache
def provenance() -> dict[str, Any]:
    """Versions of what computes numbers, and the commit (with `+changes` where the work tree differs from it)."""
    versions = {"python": platform.python_version(), "xlift": __version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {"versions": versions, "commit": _commit()}


def _commit() -> str:
    """Short hash of HEAD; 'unknown' outside a git checkout of this project, e.g. installed below one of another."""
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
