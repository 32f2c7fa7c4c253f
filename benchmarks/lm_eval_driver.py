"""Runs the lm-eval package on a local mirror of hub datasets and writes down all that it asked, was told and made of it.

    PYTHON benchmarks/lm_eval_driver.py --model FOLDER --mirror FOLDER --tasks xnli_de,xquad_zh --output out.json
    PYTHON benchmarks/lm_eval_driver.py --model FOLDER --mirror FOLDER      # jobs from stdin, one JSON a line

PYTHON is an interpreter that has lm-eval (make lm-eval); nothing of this project is imported.  lm-eval's own evaluator runs its
own tasks; only `datasets.load_dataset` reads the mirror instead of the hub: <mirror>/<org>/<name>/<config>/<split>-*.parquet or
<split>.jsonl.  A split that is not there is empty: lm-eval reads the train split of every task, also where it shows no examples.

A job is {"tasks": [names], "output": file, "batch_size": 8, "num_fewshot": null, "limit": null, "chat_template": false}; after
each the output's name is printed.  In a chat template solved examples are turns of the chat, as on lm-eval's command line.  The
output holds seconds (loading the model, index of tasks, building requests, tokens, model, evaluating in all), the aggregated
results, and for each task and document: arguments of its requests, target, responses, metrics.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from lm_eval.api.task import Task
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval_mirror import put_in_place, task_manager

DTYPES = ("float32", "bfloat16", "float16")


class Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def wrap(self, owner: Any, method: str, name: str) -> None:
        """Count the time of a method of a class."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


def run_job(job: dict[str, Any], lm: HFLM, clock: Clock, manager: TaskManager) -> dict[str, Any]:
    """Evaluate, and keep of each document what was asked and answered."""
    clock.seconds.clear()
    lm.batch_size_per_gpu = int(job.get("batch_size") or 1)
    with clock("evaluate"):
        found = simple_evaluate(
            lm,
            tasks=list(job["tasks"]),
            num_fewshot=job.get("num_fewshot"),
            limit=job.get("limit"),
            apply_chat_template=bool(job.get("chat_template")),
            task_manager=manager,
            bootstrap_iters=0,
        )
    seconds = dict(clock.seconds)
    # lm.loglikelihood tokenizes and then calls the model; generate_until does both in one.
    seconds["tokens"] = seconds.pop("loglikelihood", 0.0) - seconds.get("model likelihood", 0.0)
    seconds["model"] = seconds.pop("model likelihood", 0.0) + seconds.pop("generate", 0.0)
    return {
        "job": job,
        "seconds": seconds,
        "results": found["results"],
        "configs": {name: {"output_type": config["output_type"]} for name, config in found["configs"].items()},
        "tasks": {name: [_sample(sample) for sample in samples] for name, samples in found["samples"].items()},
    }


def _sample(sample: dict[str, Any]) -> dict[str, Any]:
    """One document: responses as lists, metrics by name."""
    return {
        "doc_id": sample["doc_id"],
        "arguments": [list(arguments) for arguments in sample["arguments"]],
        "target": sample["target"],
        "responses": [list(one) if isinstance(one, tuple | list) else one for one, *_ in sample["resps"]],
        "filtered": sample["filtered_resps"],
        "filter": sample["filter"],
        "metrics": {name: sample[name] for name in sample["metrics"]},
    }


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as JSON has them."""
    return value.item() if hasattr(value, "item") else str(value)


def jobs(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The job of the command line, or those of stdin as they come."""
    if args.tasks:
        names = ("batch_size", "num_fewshot", "limit", "output", "chat_template")
        yield {"tasks": args.tasks.split(","), **{name: getattr(args, name) for name in names}}
        return
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


def main() -> None:
    """Load once, run all jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a causal language model")
    parser.add_argument("--mirror", required=True, type=Path)
    parser.add_argument("--tasks", help="names, comma-separated; without it jobs are read from stdin")
    parser.add_argument("--output")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--num_fewshot", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--chat_template", action="store_true")
    parser.add_argument("--dtype", default="float32", choices=DTYPES)
    parser.add_argument("--max_length", type=int, help="longest input in tokens; the model's, where it is not given")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--directories", help="folders of lm_eval/tasks to look into, comma-separated; all of them take 10 s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    put_in_place(args.mirror)
    clock = Clock()
    with clock("load"):
        lm = HFLM(pretrained=args.model, dtype=args.dtype, device="cpu", max_length=args.max_length)
    with clock("index"):
        manager = task_manager(args.directories)
    start = dict(clock.seconds)
    clock.wrap(Task, "build_all_requests", "build")
    clock.wrap(HFLM, "loglikelihood", "loglikelihood")
    clock.wrap(HFLM, "_loglikelihood_tokens", "model likelihood")
    clock.wrap(HFLM, "generate_until", "generate")
    for job in jobs(args):
        found = run_job(job, lm, clock, manager)
        found["seconds"] = {**start, **found["seconds"]}
        Path(job["output"]).write_text(json.dumps(found, ensure_ascii=False, default=_plain), encoding="utf-8")
        sys.stdout.write(f"{job['output']}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
