"""Choices that begin another one, known from their texts before a model is loaded: by a sum of log-probabilities they always win.

for remark in beginnings_of_choices(plan, machine=machine): print(remark)

The first rows of one language of each task are looked at, where they are here; the tokens themselves are looked at in the run
(`task_types/prompting/prefixes.py`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import permutations

from harness.api.errors import MissingData, UserError
from harness.data.examples import load_examples
from harness.planning.plan import Plan
from harness.planning.resolved_tasks import ResolvedTask
from harness.runtime.machine import Machine
from harness.task_types.prompting.templates import Wording, wording_of

ROWS = 100
SHOWN = 3
"Pairs of a task that are named."
ADVICE = "a sum of log-probabilities only falls with each token; `--prompt_args normalise=per_token` divides it"


def beginnings_of_choices(plan: Plan, *, machine: Machine) -> list[str]:
    """A remark for each pair of choices of which one is how the other begins."""
    remarks = []
    for name, task in plan.tasks.items():
        prompt = task.spec.prompt
        if not task.in_words or prompt is None or prompt.generate or (task.route.prompt.normalise or prompt.normalise) != "sum":
            continue
        langs = list(dict.fromkeys(cell.lang for cell in plan.cells if cell.task == name and not cell.missing))
        remarks += [f"task '{name}': {text}" for text in _of_task(task, langs[:1], machine)]
    return remarks


def _of_task(task: ResolvedTask, langs: Sequence[str], machine: Machine) -> Iterator[str]:
    """What is said of a task in a language; nothing of one whose rows are not here, or wrong: that is said elsewhere."""
    spec = task.spec
    for lang in langs:
        wording = wording_of(spec, prompt_args=task.route.prompt, lang=lang)
        try:
            folder = machine.task_folders.get(spec.task)
            found = load_examples(spec, split="test", langs=[lang], place=machine.place, task_folder=folder, limit=ROWS)
            pairs = Counter(pair for example in found.examples for pair in _pairs(wording, example))
        except (MissingData, UserError):
            continue
        for (shorter, longer), number in pairs.most_common(SHOWN):
            share = "" if number == len(found.examples) else f" in {number} of {len(found.examples)} rows"
            yield f"{longer} can hardly be chosen{share} ({lang}), for {shorter} is how it begins, and {ADVICE}"


def _pairs(wording: Wording, example: object) -> Iterator[tuple[str, str]]:
    """Pairs of choices, named by their labels or texts, of which the first ends at a word's end of the second."""
    texts = wording.continuations(example)
    named = wording.labels if len(wording.labels) == len(texts) else ()
    for a, b in permutations(range(len(texts)), 2):
        short, long = texts[a], texts[b]
        if short.strip() and long.startswith(short) and len(short) < len(long) and not long[len(short)].isalnum():
            yield (f"{named[a]} ({short!r})", f"{named[b]} ({long!r})") if named else (repr(short), repr(long))
