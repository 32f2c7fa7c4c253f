"""The source of the site, made once."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mkdocs reads."""
    folder = tmp_path_factory.mktemp("site") / "docs"
    subprocess.run([sys.executable, ROOT / "docs" / "site" / "make_source.py", folder], check=True, capture_output=True)
    return folder
