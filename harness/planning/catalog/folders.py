"""Folders of files: those that a catalog reads, and that of each task.

roots_of(Path("my_tasks/nli.yaml"))              # [.../my_tasks, the same without links]
TaskFolders(has=catalog.has_task, folder=folder, names=names)["xnli"]      # looked up when it is asked for
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


def roots_of(place: Path) -> list[Path]:
    """A folder of files, or that of one file, as it is called and as it is without links."""
    folder = place.parent if place.is_file() else place
    return [folder.absolute(), folder.resolve()]


@dataclass(frozen=True, kw_only=True)
class TaskFolders(Mapping[str, Path]):
    """The folders of all tasks of a catalog."""

    has: Callable[[str], bool]
    folder: Callable[[str], Path]
    names: Callable[[], Iterable[str]]

    def __getitem__(self, task: str) -> Path:
        if not self.has(task):
            raise KeyError(task)
        return self.folder(task)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return sum(1 for _ in self)
