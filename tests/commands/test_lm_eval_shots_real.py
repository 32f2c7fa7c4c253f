"""Three solved examples before each question: the same prompts as the lm-eval package makes of its own task files.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/commands/test_lm_eval_shots_real.py       # or make lm-eval before
"""

import json
import subprocess
from pathlib import Path

import pytest
from small_lm_eval import DIRECTORIES, TASKS, copy_xnli, write_grown_mirror

from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.routes import parse_prompt_args, prompt_of
from harness.runtime.machine import Machine

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[2]
SHOTS = 3
LIMIT = 5
DRAWN = tuple(name for name in TASKS if not name.startswith(("belebele", "m_mmlu")))
"Tasks whose sampler is not first_n."


@pytest.fixture(scope="module")
def theirs(lm_eval_python, shared, tmp_path_factory):
    """A mirror, the folders of lm-eval's tasks, and its requests: of all rows, and of the first five."""
    mirror = write_grown_mirror(tmp_path_factory.mktemp("mirror"))
    for split in ("train", "validation"):
        copy_xnli(shared / "hub", mirror, rows=range(100, 160, 3), split=split)
    (tasks,) = lm_eval_python.parent.parent.glob("lib/python3*/site-packages/lm_eval/tasks")
    jobs = [{"tasks": TASKS, "num_fewshot": SHOTS, "limit": limit} for limit in (None, LIMIT)]
    command = [str(lm_eval_python), str(ROOT / "benchmarks/lm_eval_requests.py"), "--mirror", str(mirror)]
    answer = subprocess.run(
        [*command, "--directories", ",".join(DIRECTORIES)],
        input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    whole, limited = (json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{"))
    return mirror, [tasks / name for name in DIRECTORIES], whole, limited


def ours(mirror, paths, name, *, prompt_args, limit=None):
    """The requests of a task, row by row."""
    catalog = Catalog(paths)
    place = DataPlace.resolve(mirror, trust_task_code=True)
    spec = catalog.task(f"lm_eval/{name}").spec
    folder = catalog.folder("task", spec.task)
    settings = prompt_of(spec, parse_prompt_args(prompt_args))
    found = {
        split: load_examples(
            spec, split=split, langs=spec.languages, place=place, task_folder=folder, limit=limit if split == "test" else None
        ).examples
        for split in ("test", "train")
    }
    machine = Machine(place=place, task_folders=catalog.task_folders())
    module = TASK_TYPES.load(spec.type)
    route = module.prompt_route(task=spec, prompt_args=settings, pool=found["train"], machine=machine, max_positions=None)
    return {
        int(example.id): [[one.context, one.continuation] for one in route.requests(example, task=spec.task)]
        for example in found["test"]
    }


def plain(requests):
    """What lm-eval asks, without how a text is generated."""
    return [[context, None if isinstance(rest, dict) else rest] for context, rest in requests]


@pytest.mark.parametrize("name", TASKS)
def test_three_shot_prompts_are_the_same(theirs, name):
    mirror, paths, whole, limited = theirs
    rows = [plain(several) for several in whole[name]]
    assert len(rows) > LIMIT
    found = ours(mirror, paths, name, prompt_args=f"num_fewshot={SHOTS}")
    assert found == dict(enumerate(rows))
    first = ours(mirror, paths, name, prompt_args=f"num_fewshot={SHOTS}", limit=f"first:{LIMIT}")
    assert list(first.values()) == rows[:LIMIT] == [plain(several) for several in limited[name]]
    sample = ours(mirror, paths, name, prompt_args=f"num_fewshot={SHOTS},fewshot_sampler=lm_eval", limit=4)
    assert sample == {number: rows[number] for number in sample}
    assert len(sample) == 4


def test_these_are_many_tasks_that_draw_and_ours_would_draw_otherwise(theirs):
    mirror, paths, whole, _ = theirs
    assert len(DRAWN) >= 14
    own = "num_fewshot=3,fewshot_sampler=per_question"
    same = [
        ours(mirror, paths, name, prompt_args=own) == dict(enumerate(map(plain, whole[name]))) for name in ("xnli_sw", "xquad_th")
    ]
    assert same == [False, False]
