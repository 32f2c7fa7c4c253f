"""Rows of lm-eval tasks are told and cut into tokens as lm-eval does it."""

from types import SimpleNamespace

import pytest
from small_lm_eval_parts import CODE, telling
from small_tokenizers import KINDS, byte_bpe
from tokenizers import processors

from harness.api.errors import UserError
from harness.specs.lm_eval import LmEvalTask, Shots
from harness.specs.prompt import PromptArgs
from harness.task_types.lm_eval_harness.prompts import requests
from harness.task_types.lm_eval_harness.route import LmEvalRoute


def test_columns_come_before_templates_and_digits_are_numbers():
    made = telling("q", "4", doc_to_text="4", doc_to_target="{{a}}", doc_to_choice=["x", "y"])
    row = {"q": "?", "4": "a column", "a": "1"}
    assert (made.text(row), made.target(row), made.choices(row)) == ("a column", 1, ["x", "y"])
    assert telling("q", doc_to_text="q", doc_to_target="{{a}}").target(row) == "1"
    assert telling(doc_to_text="q", doc_to_target="[{{a}}, 'b']").target(row) == [1, "b"]
    assert telling(doc_to_text="q", doc_to_target="[{{q}}]").target(row) == "[?]"
    assert telling(doc_to_text="{{a}}", doc_to_target=0, doc_to_choice={"k": "x", "l": "y"}).text(row) == 1
    assert telling(doc_to_choice="{{[q, a + '\\n']}}").choices(row) == ["?", "1\n"]
    assert telling(doc_to_text="{{ q | regex_replace('[?]', '!') }}\n").text(row) == "!\n"
    with pytest.raises(UserError, match="'absent' is undefined"):
        telling(doc_to_text="{{absent}}").text(row)
    with pytest.raises(UserError, match="should give a Python list"):
        telling(doc_to_choice="{{q}}").choices(row)


def test_what_an_answer_begins_with_and_chats_decide_the_delimiters():
    shots = Shots(doc_to_text="Q {{q}}", doc_to_target="{{a}}", gen_prefix="A:", target_delimiter=" ", fewshot_delimiter="\n\n")
    made = telling(
        "q", "a", doc_to_text="Q {{q}}", doc_to_target="{{a}}", doc_to_choice=["x", " y"], output_type="multiple_choice",
        description="Told. ", gen_prefix="A:", shots=shots,
    )  # fmt: skip
    row, shot = {"q": "1", "a": "x"}, {"q": "2", "a": "y"}
    asked = requests(made, row, shots=[shot], chat=None, system="S", inputs=0)
    assert [tuple(one) for one in asked] == [("S\n\nTold. Q 2 A: y\n\nQ 1 A:", " x"), ("S\n\nTold. Q 2 A: y\n\nQ 1 A:", "  y")]
    said = []

    def chat(messages, opened):
        said.append((messages, opened))
        return "chat"

    assert [tuple(one) for one in requests(made, row, shots=[shot], chat=chat, system="", inputs=0)] == [
        ("chat", " x"),
        ("chat", "  y"),
    ]
    assert said == [
        (
            [
                {"role": "system", "content": "Told. "},
                {"role": "user", "content": "Q 2"},
                {"role": "assistant", "content": "A: y"},
                {"role": "user", "content": "Q 1"},
                {"role": "assistant", "content": "A:"},
            ],
            False,
        )
    ]


FIRST = "<mask>"


CONTEXTS = ["", "Das Buch", "Das Buch ", "the cat\n\n", "\u0643\u062a\u0628", "a 12"]


CONTINUATIONS = [" ist neu", "", "x", "\u4e2d\u6587", " \U0001f469\u200d\U0001f467"]


def cut_by_length(tokenizer, context, continuation, longest):
    """lm-eval's way, written down again: what follows as many tokens as the context has, and the last `longest` + 1 of both."""
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if context == "":
        before, after = [first], tokenizer.encode(continuation, add_special_tokens=False)
    else:
        moved = context[len(context.rstrip()) :]
        context = context.rstrip()
        before = tokenizer.encode(context)
        after = tokenizer.encode(context + moved + continuation)[len(before) :]
    kept = (before + after)[-(longest + 1) :]
    return kept[: len(kept) - len(after)], after


@pytest.mark.parametrize("longest", [100, 6])
@pytest.mark.parametrize("with_first", [False, True])
def test_tokens_are_cut_as_lm_eval_cuts_them(with_first, longest):
    tokenizer = byte_bpe(prefix_space=False)
    if with_first:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{FIRST} $A", pair=f"{FIRST} $A $B", special_tokens=[(FIRST, tokenizer.convert_tokens_to_ids(FIRST))]
        )
        tokenizer.bos_token = FIRST
    config = LmEvalTask(output_type="multiple_choice", doc_to_text="q", doc_to_target=0, doc_to_choice="c")
    route = LmEvalRoute(config=config, code=CODE, prompt_args=PromptArgs(max_length=longest))
    compared, shortened = 0, 0
    for context in CONTEXTS:
        cut = {text: cut_by_length(tokenizer, context, f" {text}", longest) for text in CONTINUATIONS}
        # lm-eval stops at a continuation as long as that, and at one before which nothing is left.
        wanted = {text: (before, after) for text, (before, after) in cut.items() if before and len(after) < longest}
        example = SimpleNamespace(id="0", row={"q": context, "c": list(wanted)}, columns=frozenset("qc"), inputs=0)
        features = route.encode([example], task=SimpleNamespace(task="t"), tokenizer=tokenizer, options=None, train=False)
        found = [(feature.input_ids, ids) for feature in features for ids in feature.continuations]
        assert found == list(wanted.values())
        assert [number for feature in features for number in feature.info] == list(range(len(wanted)))
        compared += len(wanted)
        shortened += sum(feature.num_truncated > 0 for feature in features)
    assert compared > 15
    assert (shortened > 0) == (longest == 6)


def test_every_tokenizer_has_a_first_token_for_an_empty_context():
    config = LmEvalTask(output_type="multiple_choice", doc_to_text="q", doc_to_target=0, doc_to_choice=["the cat", "a"])
    for make in KINDS.values():
        tokenizer = make()
        example = SimpleNamespace(id="0", row={"q": ""}, columns=frozenset("q"), inputs=0)
        route = LmEvalRoute(config=config, code=CODE, prompt_args=PromptArgs())
        (feature,) = route.encode([example], task=SimpleNamespace(task="t"), tokenizer=tokenizer, options=None, train=False)
        first = tokenizer.bos_token_id
        assert feature.input_ids == [tokenizer.eos_token_id if first is None else first]


@pytest.mark.parametrize(
    ("wanted", "model", "expected"),
    [(None, 8192, 8192), (2048, 8192, 2048), (4096, 8192, 4096), (4096, 1024, 1024), (None, None, 2048), (300, None, 300)],
)
def test_the_longest_input_is_the_model_s_unless_a_run_says_another(wanted, model, expected):
    config = LmEvalTask(output_type="multiple_choice", doc_to_text="q", doc_to_target=0, doc_to_choice=["a"])
    route = LmEvalRoute(config=config, code=CODE, prompt_args=PromptArgs(max_length=wanted), max_positions=model)
    assert route.max_length == expected
    assert len(PromptArgs(max_length=wanted).model_dump(exclude_defaults=True)) == (wanted is not None)
