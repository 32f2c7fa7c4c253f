"""Where the rows of a task of lm-evaluation-harness lie: those that are scored, and those shown as solved examples.

    found = sources_of(file)
    found.asked, found.shown          # Source of the scored rows, and of the solved examples

The rows that are scored are the test split where the file names one, else the validation split.  Solved examples are of the split
that the file names for them, else of the training, validation or test split, whichever it has first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.planning.catalog.lm_eval_files.yaml_reader import FunctionName
from harness.specs.task import Source
from harness.task_types.lm_eval_harness.task_code import file_of

if TYPE_CHECKING:
    from harness.planning.catalog.lm_eval_files.task_file import TaskFile

BUILDERS = ("json", "csv", "parquet", "text")
"Dataset paths of `datasets` that mean files."
SUFFIXES = {"jsonl": "json", "json": "json", "csv": "csv", "tsv": "csv", "parquet": "parquet", "txt": "text"}
IGNORED = ("trust_remote_code", "download_mode", "cache_dir", "streaming", "features")
"Arguments of load_dataset that change no value of a row."
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class RowSources(NamedTuple):
    """The rows of a task."""

    asked: Source
    asked_split: str
    shown: Source | None
    "None where the solved examples stand in the file or come from a function."


def sources_of(file: TaskFile) -> RowSources | None:
    """The sources of a task; None, with mistakes in the file, where it names none."""
    asked = file.get("test_split") or file.get("validation_split")
    if asked is None:
        file.wrong("neither test_split nor validation_split is named", ())
        return None
    if file.get("dataset_path") is None and file.get("custom_dataset") is None:
        if file.lacks("dataset_path"):
            file.wrong("'dataset_path' is missing", ())
        return None
    own = file.get("fewshot_config")
    own = own if isinstance(own, Mapping) else {}
    shown = own.get("split", file.get("fewshot_split"))
    if shown is None and own.get("samples") is None:
        shown = next(
            (file.get(f"{name}_split") for name in ("training", "validation", "test") if file.get(f"{name}_split")), None
        )
    first = _source(file, str(asked))
    second = _source(file, str(shown)) if shown is not None else None
    return RowSources(first, str(asked), second) if first else None


def _source(file: TaskFile, split: str) -> Source | None:
    """The source of one split."""
    made = file.get("custom_dataset")
    if isinstance(made, FunctionName):
        code = file_of(made.reference, made.folder)
        if code is None:
            return None  # said where the function is looked up
        return Source(files={"rows": os.path.relpath(code, file.folder)}, reader="made_by_code", split=split)
    path, name = str(file.get("dataset_path")), file.get("dataset_name")
    kwargs = {key: value for key, value in dict(file.get("dataset_kwargs", {})).items() if key not in IGNORED}
    data_files, folder = kwargs.pop("data_files", None), kwargs.pop("data_dir", None)
    if data_files is not None or path in BUILDERS:
        return _files(file, path, _below(folder, data_files), kwargs, split)
    if folder is not None:
        kwargs["data_dir"] = folder
    revision = kwargs.pop("revision", None)
    for key in kwargs:
        file.wrong(f"dataset_kwargs: '{key}' is not supported for a dataset of the hub", ("dataset_kwargs", key))
    return Source(hub=path, config="default" if name is None else str(name), split=split, revision=revision)


def _below(folder: Any, data_files: Any) -> Any:
    """Names of files in `data_dir`."""
    if folder is None:
        return data_files
    if isinstance(data_files, Mapping):
        return {key: _below(folder, value) for key, value in data_files.items()}
    if isinstance(data_files, list):
        return [_below(folder, value) for value in data_files]
    return f"{folder}/{data_files}" if isinstance(data_files, str) else data_files


def _files(file: TaskFile, path: str, data_files: Any, kwargs: Mapping[str, Any], split: str) -> Source | None:
    """Files as `datasets` reads them; those of a hub dataset lie in its folder of the mirror."""
    by_split = data_files if isinstance(data_files, Mapping) else {"train": data_files}
    names = by_split.get(split)
    names = [names] if isinstance(names, str) else names
    where = ("dataset_kwargs", "data_files")
    if not isinstance(names, list) or not names or not all(isinstance(one, str) and one for one in names):
        file.wrong(f"data_files names no file for the split '{split}'", where, found=repr(data_files)[:80])
        return None
    builder = path
    if path not in BUILDERS:
        plain = next((names[0].removesuffix(end) for end in COMPRESSED if names[0].endswith(end)), names[0])
        builder = SUFFIXES.get(plain.rpartition(".")[2], "")
        names = [f"{path}/{one}" for one in names]
    if not builder:
        file.wrong("cannot tell what kind of file this is", where, expected=", ".join(SUFFIXES), found=names[0])
        return None
    files = names[0] if len(names) == 1 else tuple(names)
    return Source(files={"rows": files}, reader="as_datasets", reader_options={"builder": builder, "arguments": dict(kwargs)})
