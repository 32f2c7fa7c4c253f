"""Keywords of the calls are the flags of the commands: none is missing, and each value is typed as a user would type it."""

from pathlib import Path
from typing import get_type_hints

import pytest

from harness.commands._parser import parser_of
from harness.library.options import BoardOptions, CompareOptions, PlanOptions, RunOptions, words_of

APART = {
    "run": {"help", "model", "tasks", "dry_run"},
    "plan": {"help", "model", "tasks", "json"},
    "leaderboard": {"help", "folders"},
    "compare": {"help", "systems"},
}
"What the calls take by place, or have no use for: `plan` is a call of its own, and results are no texts."


@pytest.mark.parametrize(
    ("command", "options"),
    [("run", RunOptions), ("plan", PlanOptions), ("leaderboard", BoardOptions), ("compare", CompareOptions)],
)
def test_every_flag_has_its_keyword(command, options):
    flags = {action.dest for action in parser_of(command).actions()}
    assert APART[command] <= flags
    assert set(get_type_hints(options)) == flags - APART[command]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "mini", "tasks": ["a", "b/c"]}, ["--model=mini", "--tasks=a,b/c"]),
        ({"tasks": "a,b", "seeds": (1, 2), "limit": 3}, ["--tasks=a,b", "--seeds=1,2", "--limit=3"]),
        ({"seeds": 7, "price": 2.5, "device": None}, ["--seeds=7", "--price=2.5"]),
        ({"no_train": True, "verify": False, "quiet": True}, ["--no_train", "--quiet"]),
        ({"include_path": [Path("x"), "y"]}, ["--include_path=x", "--include_path=y"]),
        ({"include_path": Path("x"), "output_path": Path("r")}, ["--include_path=x", "--output_path=r"]),
        ({"model_args": {"lora_rank": 16, "trust_remote_code": True}}, ["--model_args=lora_rank=16,trust_remote_code=true"]),
        ({"prompt_args": {"system": "Be brief, please.", "seed": 1}}, ['--prompt_args=system="Be brief, please.",seed=1']),
        ({"prompt_args": {"system": 'Say "yes", or no.'}}, ["--prompt_args=system='Say \"yes\", or no.'"]),
        ({"languages": []}, ["--languages="]),
        ({"no_such": True, "other": False, "limit": True}, ["--no_such", "--limit=true"]),
    ],
)
def test_values_are_typed_as_a_user_would(options, words):
    assert words_of("run", options) == words


def test_places_come_last_and_are_no_flags():
    assert words_of("leaderboard", {"by": "family"}, places=[Path("runs/x"), "-y"]) == ["--by=family", "runs/x", "./-y"]
