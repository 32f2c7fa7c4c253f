"""The draws of lm-eval's sampler, made anew: against its package, and by what they must not depend on."""

import json
import subprocess

import pytest

from harness.api.errors import UserError
from harness.task_types.lm_eval_harness.sampler import SEED, SequentialDraws

POOL = [{"q": number} for number in range(40)]
DOCUMENTS = [{"q": number % 9} for number in range(60)]
TWINS = [{"q": number % 9} for number in range(40)]
"Every row four or five times: of four that are drawn two are often the question's own."
THEIRS = """
import json, sys
from lm_eval.api.samplers import ContextSampler
for line in sys.stdin:
    pool, documents, k, seed, own = json.loads(line)
    sampler = ContextSampler(pool, rnd=None).set_rnd(seed)
    print(json.dumps([sampler.sample(n=k, eval_doc=document if own else None) for document in documents]))
"""


def draws(pool=POOL, documents=DOCUMENTS, *, k=3, seed=SEED, without_own=False):
    return SequentialDraws(pool, documents, k=k, seed=seed, without_own=without_own)


def test_the_first_draws_are_those_of_lm_eval():
    assert [[row["q"] for row in draws().of(number)] for number in range(3)] == [[28, 7, 0], [5, 37, 2], [5, 6, 22]]
    own = draws(without_own=True)  # the first draw: 28, 7, 0 (the question's own), 5
    assert [[row["q"] for row in own.of(number)] for number in range(3)] == [[28, 7, 5], [37, 2, 5], [22, 15, 1]]


def test_what_is_drawn_for_a_row_does_not_depend_on_what_is_asked_before():
    forward, alone = draws(TWINS, without_own=True), draws(TWINS, without_own=True)
    assert alone.of(41) == [forward.of(number) for number in range(42)][41]
    assert alone.of(7) == forward.of(7)
    assert draws(seed=1).of(7) != draws().of(7)


def test_the_question_is_never_among_its_examples():
    found = draws(TWINS, without_own=True)
    assert [row for number, own in enumerate(DOCUMENTS) for row in found.of(number) if row == own] == []
    assert {len(found.of(number)) for number in range(60)} == {3}


@pytest.mark.parametrize(("pool", "own"), [(POOL[:2], False), (POOL[:3], True), ([{"q": 0}] * 9, True)])
def test_a_pool_that_is_too_small_is_an_error(pool, own):
    with pytest.raises(UserError, match="not enough rows"):
        draws(pool, [{"q": 0}], without_own=own).of(0)


@pytest.mark.real
def test_all_draws_are_those_of_the_package(lm_eval_python):
    jobs = [
        (pool, DOCUMENTS, k, seed, own)
        for pool in (POOL, TWINS, [*TWINS, *POOL] * 9)
        for k, seed in ((1, 1234), (3, 1234), (5, 7), (8, 0))
        for own in (False, True)
    ]
    answer = subprocess.run(
        [str(lm_eval_python), "-c", THEIRS],
        input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = answer.stdout.splitlines()
    assert len(lines) == len(jobs) == 24
    for line, (pool, documents, k, seed, own) in zip(lines, jobs):
        found = draws(pool, documents, k=k, seed=seed, without_own=own)
        assert [found.of(number) for number in range(len(documents))] == json.loads(line), (k, seed, own)
