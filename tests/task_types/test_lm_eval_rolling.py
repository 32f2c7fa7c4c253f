"""Whole texts are rated in windows: each token once, behind as much as the model takes, as lm-eval does it."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from small_lm_eval_parts import CODE
from small_tokenizers import byte_bpe

from harness.specs.lm_eval import LmEvalTask
from harness.specs.prompt import PromptArgs
from harness.task_types.lm_eval_harness.rolling import rolling_windows, windows
from harness.task_types.lm_eval_harness.route import LmEvalRoute

THEIRS = """
import json, sys
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
for line in sys.stdin:
    ids, longest = json.loads(line)
    found = get_rolling_token_windows(ids, prefix_token=-1, max_seq_len=longest, context_len=1)
    print(json.dumps([make_disjoint_window(one) for one in found]))
"""
SIZES = [(length, longest) for length in (0, 1, 2, 3, 7, 8, 9, 20, 21) for longest in (2, 3, 4, 8, 50)]


def test_the_last_window_sees_as_much_as_fits_before_it():
    assert windows(list(range(10)), first=99, longest=4) == [
        ([99], [0, 1, 2, 3]),
        ([3], [4, 5, 6, 7]),
        ([5, 6, 7], [8, 9]),
    ]


@pytest.mark.parametrize(("length", "longest"), SIZES)
def test_each_token_is_predicted_once_within_what_the_model_takes(length, longest):
    ids = list(range(length))
    found = windows(ids, first=-1, longest=longest)
    assert [token for one in found for token in one.continuation] == ids
    assert all(len(one.context) + len(one.continuation) - 1 <= longest for one in found)
    for one in found:  # what stands before a window is what comes before it in the text
        assert one.context == (
            [-1] if one.continuation[0] == 0 else ids[one.continuation[0] - len(one.context) : one.continuation[0]]
        )


def test_the_tokenizer_s_own_first_token_is_part_of_a_text():
    tokenizer = byte_bpe(prefix_space=False)
    ((window,), nothing) = rolling_windows(["a text", ""], tokenizer=tokenizer, longest=64)
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    assert window.context == [first]
    assert window.continuation == tokenizer("a text")["input_ids"]
    assert [token for one in nothing for token in one.continuation] == tokenizer("")["input_ids"]


def test_a_text_stays_as_it_is_where_a_run_asks_for_a_chat_template_or_a_system_message():
    config = LmEvalTask(output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="text", description="Say: ")
    tokenizer = byte_bpe(prefix_space=False)  # it has no chat template either
    example = SimpleNamespace(id="0", row={"text": "It rains."}, columns=frozenset({"text"}), inputs=0)
    task = SimpleNamespace(task="t")
    found = []
    for args in ({}, {"chat_template": True, "system": "Be brief."}):
        route = LmEvalRoute(config=config, code=CODE, prompt_args=PromptArgs(**args))
        assert route.requests(example, task="t", tokenizer=tokenizer) == [("", "It rains.")]
        assert [one.context for one in route.sent(example, task=task, tokenizer=None)] == [""]
        found.append(route.encode([example], task=task, tokenizer=tokenizer, options=None, train=False))
    plain, chat = found
    assert [feature.continuations for feature in plain] == [[tokenizer("It rains.")["input_ids"]]]
    assert plain == chat


@pytest.mark.real
def test_windows_are_those_of_the_package(lm_eval_python):
    jobs = [(list(range(length)), longest) for length, longest in SIZES]
    text = "".join(json.dumps(job) + "\n" for job in jobs)
    answer = subprocess.run([str(lm_eval_python), "-c", THEIRS], input=text, capture_output=True, text=True, check=True)
    lines = answer.stdout.splitlines()
    assert len(lines) == len(jobs) == 45
    for line, (ids, longest) in zip(lines, jobs):
        assert [list(one) for one in windows(ids, first=-1, longest=longest)] == json.loads(line), (len(ids), longest)
