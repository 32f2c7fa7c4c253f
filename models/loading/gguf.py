"""GGUF files: their configuration and tokenizer as an ordinary folder, made once; the weights are read from the file itself.

folder = prepare_gguf(Path("gemma-3-270m-q4_k_m.gguf"))      # config.json, tokenizer.json, ... in the user's cache
gguf_tensor_names(source.path)                                 # None where the path names no GGUF file
"""

import atexit
import hashlib
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

from harness.api.cache import cache_folder, is_sealed, seal_folder
from harness.api.errors import UserError
from harness.api.gguf_header import read_gguf
from harness.api.quantization import gguf_file
from models.loading.remarks import first_line, quiet

FORMAT = 1
"Of the folders that are made; another number makes them anew."


def gguf_tensor_names(path: str) -> set[str] | None:
    """What the file calls its tensors; None where a path names no GGUF file."""
    file = gguf_file(path)
    return None if file is None else {tensor.name for tensor in read_gguf(file).tensors}


def prepare_gguf(file: Path) -> Path:
    """A folder with what a GGUF file says besides its weights, made once for each state of the file.

    UserError for what transformers cannot read.
    """
    stat = file.resolve().stat()
    state = [FORMAT, str(file.resolve()), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
    name = f"{file.stem}-{digest}"
    for root in (cache_folder() / "gguf", _own_folder()):
        if is_sealed(root / name):
            return root / name
    try:
        (cache_folder() / "gguf").mkdir(parents=True, exist_ok=True)
        return _made(file, cache_folder() / "gguf" / name)
    except OSError:  # a cache that cannot be written
        return _made(file, _own_folder() / name)


def _made(file: Path, target: Path) -> Path:
    """Make the folder and give it its place."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-", ignore_cleanup_errors=True) as made:
        unfinished = Path(made, target.name)
        unfinished.mkdir()
        _write(file, unfinished)
        seal_folder(unfinished)
        if target.exists() and not is_sealed(target):
            target.rename(Path(made, "torn"))
        try:
            unfinished.rename(target)
        except OSError:  # another process was faster: what it made is the same
            if not is_sealed(target):
                raise
    return target


def _write(file: Path, folder: Path) -> None:
    try:
        with quiet():
            config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except OSError:
        raise
    except Exception as error:  # of any kind, by what the file says
        raise UserError(
            "cannot read this GGUF file",
            where=str(file),
            expected="an architecture and a tokenizer that the installed transformers can read from GGUF",
            found=first_line(error),
            todo="take the model's ordinary folder, or convert it to one",
        ) from error
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key in ("quantization_config", "_name_or_path", "dtype"):
        content.pop(key, None)
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@cache
def _own_folder() -> Path:
    """A folder of this process."""
    folder = tempfile.mkdtemp(prefix="xlift-gguf-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
