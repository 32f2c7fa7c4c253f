"""What the readers share: numbered lines of plain or gzipped UTF-8, checked roles and options, errors that say file:line.

for number, line in lines(path): ...
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar, cast

from pydantic import ValidationError

from harness.api.errors import UserError, did_you_mean, raise_all
from harness.specs.model import Spec

OptionsT = TypeVar("OptionsT", bound=Spec)


def open_bytes(path: Path) -> IO[bytes]:
    """Open for reading; a name that ends in .gz is unpacked."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (number from 1, line without its \n or \r\n); only \n ends a line, since texts hold other separators."""
    number = 0
    try:
        with open_bytes(path) as file:
            for number, raw in enumerate(file, start=1):
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                if "\0" in text:
                    raise UserError(
                        "a NUL character, which no text holds", where=f"{path}:{number}", todo="is it UTF-16?  Save it as UTF-8"
                    )
                yield number, text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UserError("not UTF-8 text", where=f"{path}:{number}", found=str(error), todo="convert the file to UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError("broken gzip file", where=f"{path}:{number + 1}", found=str(error), todo="fetch the file again") from None
    except OSError as error:
        raise UserError("cannot be read", where=str(path), found=error.strerror or str(error)) from None


def role_files(reader: str, files: Mapping[str, Path], roles: tuple[str, ...]) -> tuple[Path, ...]:
    """The files in the order of the roles; raises UserError if roles are missing or unknown."""
    if set(files) != set(roles):
        raise UserError(
            f"reader '{reader}' needs other files",
            expected="roles " + ", ".join(roles),
            found="roles " + ", ".join(sorted(files)),
        )
    return tuple(files[role] for role in roles)


def parse_options(reader: str, model: type[OptionsT], given: Mapping[str, object]) -> OptionsT:
    """The options as a model; raises one UserError for each that does not fit."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise_all([_option_error(reader, model, problem["loc"], problem["msg"]) for problem in error.errors()])
        raise


def _option_error(reader: str, model: type[Spec], loc: tuple[int | str, ...], message: str) -> UserError:
    name = str(loc[0]) if loc else ""
    if name and name not in model.model_fields:
        return UserError(f"reader '{reader}' has no option '{name}'", todo=did_you_mean(name, model.model_fields))
    return UserError(f"reader '{reader}': option {'.'.join(map(str, loc)) or 'set'}: {message}")
