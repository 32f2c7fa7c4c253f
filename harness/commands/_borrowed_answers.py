"""Flags of lm-evaluation-harness and EuroEval that become no flag of ours, each answered by what does it here.

refuse([("--samples", "{...}")])       # UserError, to do: --limit first:20 takes the first 20 of a language, ...
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.api.errors import UserError, raise_all
from harness.commands._borrowed_models import BACKENDS


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
        todo = one.todo
        for name, text in names.items():
            todo = todo.replace(name, shlex.quote(text))
        found = "" if flag in SECRET else value or ""
        errors.append(UserError(one.message, where=flag, found=found, todo=todo))
    raise_all(errors)


_SCORES_ELSEWHERE = InsteadOfFlag(
    "other programs are shown the trainings of a run while it goes on, and given its scores when it is done",
    "--track wandb or --track tensorboard for trainings; run_eval.py leaderboard RUNS --export lm_eval=results for scores",
)
_TO_THE_HUB = InsteadOfFlag(
    "nothing is sent anywhere during a run",
    "run_eval.py leaderboard RUNS --export model_card=cards, then with --push_card; or --export lm_eval=results --answers",
)
_A_SERVER = InsteadOfFlag("a server is an argument of the model", "--model_args engine=server,base_url=http://HOST:PORT/v1")
SECRET = ("--api-key",)
"Flags whose values no message shows."
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
