"""The stages that the cells of a page rest on, without what comes again and again: settings and surroundings are kept once.

table = StageTable(board["stages"], once=Once())
table.number("score/xnli-de-0123456789")         # 0
table.entries                                    # [{'name': ..., 'data': {...}, 'facts': {...}, 'settings': 3, ...}]
"""

from collections.abc import Mapping
from typing import Any

from harness.api.protocols import Json
from harness.report.page.texts import Once, without_empty


class StageTable:
    """Stages by number, those that a stage rests on with it."""

    def __init__(self, stages: Mapping[str, Json], *, once: Once) -> None:
        """Arguments: `stages` of a board; where values are kept that many stages share."""
        self.entries: list[dict[str, Any]] = []
        self._stages, self._once = stages, once
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of a stage, whether the board knows more than its name or not."""
        if name not in self._numbers:
            number = self._numbers[name] = len(self.entries)
            self.entries.append({"name": name})
            self.entries[number] |= self._entry(name)
        return self._numbers[name]

    def _entry(self, name: str) -> dict[str, Any]:
        stage = self._stages.get(name)
        if stage is None:
            return {}
        shared = {key: self._once.number(stage[key]) for key in ("settings", "arithmetic", "environments") if stage[key]}
        return without_empty(
            {
                "facts": stage["facts"],
                "data": self._once.number(stage["data"]) if len(stage["data"]) > 1 else stage["data"],
                "inputs": [self.number(each) for each in stage["inputs"]],
            }
        ) | {"shared": shared}
