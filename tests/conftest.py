"""Shared fixtures: the real data and models beside the project, where they are.

python -m pytest tests                 # without them: tests marked `real` are skipped, with the reason
XLIFT_REQUIRE_REAL=1 pytest -m real    # a missing folder is a failure
"""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells have it for what they start in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("COLUMNS", None)  # tables are as wide as their rows, unless a test says how wide the terminal is
ROOT = Path(__file__).resolve().parent.parent
gc.disable()  # while tests are read, which leaves next to nothing to collect


def pytest_configure(config: pytest.Config) -> None:
    """A process that hands tests out to others reads none itself."""
    if getattr(config.option, "numprocesses", None):
        gc.enable()


def pytest_collection_finish() -> None:
    """What stays for good is looked through no more: that was a tenth of the time of all tests, and half of reading them."""
    gc.freeze()
    gc.set_threshold(2000, 20, 100)
    gc.enable()


def _found(path: Path, what: str) -> Path:
    """The folder, or a skip that says what is missing."""
    if not path.is_dir():
        _lacking(f"{what} is not here: {path}")
    return path


def _lacking(reason: str) -> NoReturn:
    """A skip with its reason; a failure where real tests are required."""
    if os.environ.get("XLIFT_REQUIRE_REAL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def every_eval_ever_python() -> Path:
    """The interpreter that has the package every-eval-ever."""
    python = Path(os.environ.get("XLIFT_EEE_PYTHON") or ROOT / ".venv-eee" / "bin" / "python").expanduser()
    if not python.is_file():
        _lacking(f"every-eval-ever is not here: {python} (make every-eval-ever, or $XLIFT_EEE_PYTHON)")
    return python


@pytest.fixture(scope="session")
def lm_eval_python() -> Path:
    """The interpreter that has the lm-eval package."""
    python = Path(os.environ.get("XLIFT_LM_EVAL_PYTHON") or ROOT / ".venv-lm-eval" / "bin" / "python").expanduser()
    if not python.is_file():
        _lacking(f"lm-eval is not here: {python} (make lm-eval, or $XLIFT_LM_EVAL_PYTHON)")
    return python


@pytest.fixture(scope="session")
def vllm_interpreter() -> str:
    """The interpreter that has vLLM."""
    from harness.api.errors import UserError
    from harness.runtime.engines import vllm_python

    try:
        return vllm_python()
    except UserError as error:
        _lacking(str(error))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the mirror of hub datasets (hub/) and files in original formats (raw/)."""
    return _found(Path(os.environ.get("XLIFT_SHARED") or ROOT.parent / "shared"), "the folder of real data")


@pytest.fixture(scope="session")
def real_models() -> Path:
    """Folder of the real small models."""
    default = Path.home() / ".cache" / "xlift-real"
    return _found(Path(os.environ.get("XLIFT_REAL_MODELS") or default), "the folder of real models")


@pytest.fixture(scope="session")
def e5(real_models: Path) -> Path:
    """multilingual-e5-small: a real multilingual encoder of 118M parameters."""
    return _found(real_models / "multilingual-e5-small", "multilingual-e5-small")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test session keeps its hashes and counts to itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models gain nothing from more threads, and equal bytes want equal numbers of them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def xtreme() -> Path:
    """A checkout of google-research/xtreme, whose scripts are run beside ours."""
    folder = os.environ.get("XLIFT_XTREME_REPO")
    if not folder:
        pytest.skip("XLIFT_XTREME_REPO does not name a checkout of google-research/xtreme (838c13b)")
    return Path(folder)
