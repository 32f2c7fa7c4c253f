"""Flags of lm-evaluation-harness and EuroEval that become no flag of ours, each answered by what does it here.

refuse([("--samples", "{...}")])       # UserError, to do: --limit first:20 takes the first 20 of a language, ...
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.api.errors import UserError, raise_all
from harness.api.json_text import loads
from harness.commands._borrowed_models import BACKENDS
from harness.commands._borrowed_words import pairs_of
from harness.specs.key_values import split_key_values


class InsteadOfFlag(NamedTuple):
    """Why a flag becomes none of ours, and what to say instead."""

    message: str
    todo: str


def refuse(pairs: Sequence[tuple[str, str | None]]) -> None:
    """Raise UserError with the answer of every such flag of a command line, in terms of that command line."""
    said = dict(pairs)
    names = {"RUNS": said.get("--output_path") or "runs", "TASKS": said.get("--tasks") or "xnli"}
    if said.get("--model") not in (None, *BACKENDS):
        names["MODEL"] = str(said["--model"])
    if address := said.get("--api-base"):
        names["http://HOST:PORT/v1"] = address
    errors = []
    for flag, value, one in [(flag, value, ANSWERED[flag]) for flag, value in pairs if flag in ANSWERED]:
        todo = re.sub("|".join(map(re.escape, names)), lambda place: shlex.quote(names[place[0]]), one.todo)
        errors.append(UserError(one.message, where=flag, found=_shown(flag, value or ""), todo=todo))
    raise_all(errors)


def refuse_tasks_of_validate(words: Sequence[str]) -> None:
    """Raise UserError for `validate --tasks xnli`, lm-eval's command of that name, with the same in our words."""
    pairs = pairs_of(words)
    if "--tasks" not in dict(pairs):
        return
    said = dict(pairs)["--tasks"] or ""
    tasks = [*(said or "NAME").split(","), *(flag for flag, _ in pairs if not flag.startswith("-"))]
    others = [word for pair in pairs if pair[0].startswith("-") and pair[0] != "--tasks" for word in pair if word is not None]
    commands = [shlex.join(["run_eval.py", "validate", task, *others]) for task in tasks if task]
    raise UserError("a task is named without a flag", where="--tasks", found=said, todo="; ".join(commands))


def _shown(flag: str, value: str) -> str:
    """The value of a flag as a message shows it: nothing of a key, and of arguments for other programs only the names."""
    if flag not in TOLD_TO_OTHERS:
        return "" if flag == "--api-key" else value
    try:
        names = loads(value) if value.lstrip().startswith("{") else [key for key, equals, _ in split_key_values(value) if equals]
    except ValueError:
        return ""
    return ", ".join(names)


_SCORES_ELSEWHERE = InsteadOfFlag(
    "other programs are shown the trainings of a run while it goes on, and given its scores when it is done",
    "--track wandb or --track tensorboard for trainings; run_eval.py leaderboard RUNS --export lm_eval=results for scores",
)
_TO_THE_HUB = InsteadOfFlag(
    "nothing is sent anywhere during a run",
    "run_eval.py leaderboard RUNS --export model_card=cards, then with --push_card; or --export lm_eval=results --answers",
)
_A_SERVER = InsteadOfFlag("a server is an argument of the model", "--model_args engine=server,base_url=http://HOST:PORT/v1")
TOLD_TO_OTHERS = ("--wandb_args", "--wandb_config_args", "--trackio_args", "--hf_hub_log_args")
"Flags with arguments for other programs, which may hold keys."
ANSWERED: Mapping[str, InsteadOfFlag] = {
    "--few-shot": InsteadOfFlag("how many examples?", "--route prompt --prompt_args num_fewshot=5"),
    "--samples": InsteadOfFlag(
        "rows are not chosen by their numbers",
        "--limit first:20 takes the first 20 of a language, --limit 20 a seeded sample; or a file of your own with those rows",
    ),
    "--metadata": InsteadOfFlag(
        "what a task is told stands in its file",
        "`metadata: {...}` in a copy of it below --include_path, which may `include` the original",
    ),
    "--config": InsteadOfFlag("a run is said by its flags", "write the values of the file as flags of the same names"),
    "--wandb_args": _SCORES_ELSEWHERE,
    "--wandb_config_args": _SCORES_ELSEWHERE,
    "--trackio_args": _SCORES_ELSEWHERE,
    "--hf_hub_log_args": _TO_THE_HUB,
    "--task": InsteadOfFlag("kinds of tasks are not asked for, but tasks and groups", "--tasks xnli,panx; run_eval.py ls tasks"),
    "--force": InsteadOfFlag(
        "what is done is not made again", "another --output_path; or run_eval.py clean RUNS --tasks TASKS --yes, then the run"
    ),
    "--api-base": _A_SERVER,
    "--api-key": InsteadOfFlag("a key stands on no command line", "in the environment variable XLIFT_SERVER_KEY"),
    "--download-only": InsteadOfFlag("fetching is a command of its own", "run_eval.py fetch --model MODEL --tasks TASKS"),
    "--finetuning-batch-size": InsteadOfFlag(
        "hyper-parameters stand in recipes",
        "`batch_size` of a recipe of your own (run_eval.py show xtreme_2020), and --recipe NAME",
    ),
    "--clear-model-cache": InsteadOfFlag(
        "models lie in the cache of the hub, which is not touched", "`hf cache` removes them; run_eval.py clean RUNS the stages"
    ),
}
"By flag."
