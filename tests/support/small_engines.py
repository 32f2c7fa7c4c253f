"""Environments that say they have an engine, without one.

monkeypatch.setenv("XLIFT_VLLM_PYTHON", vllm_in(tmp_path))
"""

from pathlib import Path


def vllm_in(folder: Path) -> str:
    """An interpreter that says it has vLLM: planning asks no more of it."""
    script = folder / "python"
    script.write_text('#!/bin/sh\necho \'{"vllm": "0.32.0"}\'\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)
