"""The requests that lm-eval makes of its own tasks, without a model: what our prompts are held against.

    <lm-eval python> benchmarks/lm_eval_requests.py --mirror DIR --directories xnli,okapi < jobs > requests

A job is a line of JSON: {"tasks": ["xnli_de"], "num_fewshot": 3, "limit": null}; for each a line comes back: the arguments of the
requests of each document, by task.  Seeds are those of the command line there.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval_mirror import put_in_place, task_manager


def requests_of(task: Any, *, num_fewshot: int | None, limit: int | None) -> list[list[list[Any]]]:
    """The arguments of each document's requests."""
    if num_fewshot is not None and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=num_fewshot)
    task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    task.build_all_requests(limit=limit, rank=0, world_size=1)
    found: dict[int, list[list[Any]]] = {}
    for instance in task.instances:
        found.setdefault(instance.doc_id, []).append(list(instance.args))
    return [found[number] for number in sorted(found)]


def main() -> None:
    """Answer the jobs of stdin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", required=True, type=Path)
    parser.add_argument("--directories", help="folders of lm_eval/tasks to look into, comma-separated")
    args = parser.parse_args()
    put_in_place(args.mirror)
    manager = task_manager(args.directories)
    for line in sys.stdin:
        job = json.loads(line)
        tasks = manager.load(list(job["tasks"]))["tasks"]
        how = {"num_fewshot": job.get("num_fewshot"), "limit": job.get("limit")}
        found = {name: requests_of(task, **how) for name, task in tasks.items()}
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
