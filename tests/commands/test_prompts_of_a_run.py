"""What a run says of its prompts is what is shown, and asked; what says nothing of a task makes no other stage of it."""

import pytest
from small_lm_eval_tasks import write_folder

import run_eval
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.planning.routes import parse_prompt_args, prompt_name, prompt_of

PLACE = DataPlace(trust_task_code=True, offline=True)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "theirs")


def keys(task, prompt_args, folder):
    request = RunRequest(model="oracle", tasks=task, languages=("de",), route="prompt", prompt_args=prompt_args)
    return sorted(stage.key for stage in make_plan(request, catalog=Catalog([folder]), place=PLACE).stages)


@pytest.mark.parametrize(
    ("task", "writes"),
    [
        ("mini/xquad", True),
        pytest.param("mini/panx", True, marks=pytest.mark.slow),
        pytest.param("mini/xnli", False, marks=pytest.mark.slow),
        ("nli_de", False),
    ],
)
def test_what_says_nothing_of_a_task_is_in_no_key(task, writes, folder):
    plain = keys(task, "", folder)
    assert plain
    for said in ("seed=3", "fewshot_split=validation", "fewshot_sampler=per_question"):
        assert keys(task, said, folder) == plain, said
    assert keys(task, "seed=3,num_fewshot=1", folder) != keys(task, "num_fewshot=1", folder)
    assert (keys(task, "max_new_tokens=3", folder) != plain) is writes
    spec = Catalog([folder]).task(task).spec
    has_other_words = bool(spec.prompt and spec.prompt.languages)
    assert (keys(task, "wording=localised", folder) != plain) is has_other_words
    if writes:
        assert keys(task, f"max_new_tokens={spec.prompt.generate.max_new_tokens}", folder) == plain
    elif spec.prompt:
        assert keys(task, f"normalise={spec.prompt.normalise}", folder) == plain
        assert keys(task, "normalise=per_character", folder) != plain


MORE = {
    "perplexity/whole_de.yaml": """
task: whole_de
dataset_path: json
dataset_kwargs: {data_files: de.jsonl}
test_split: train
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: premise
metric_list: [{metric: word_perplexity}]
""",
    "nli/first_de.yaml": """
include: ../base/nli_base_yaml
task: first_de
dataset_kwargs: {data_files: de.jsonl}
fewshot_config: {sampler: first_n}
fewshot_split: train
""",
}


def with_more(folder):
    """Tasks whose texts stand by themselves, and whose solved examples are always the first ones."""
    for name, text in MORE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "perplexity" / "de.jsonl").write_text((folder / "nli" / "de.jsonl").read_text())
    return folder


@pytest.mark.parametrize(
    ("task", "usual", "says_nothing", "says_something"),
    [
        ("whole_de", "", "chat_template=true system=x num_fewshot=1 seed=3 guided=true sft=true", "max_length=9"),
        ("first_de", "num_fewshot=1", "num_fewshot=1,seed=3 num_fewshot=1,guided=true", "num_fewshot=1,system=x num_fewshot=2"),
        ("nli_de", "num_fewshot=1", "num_fewshot=1,guided=true,sft=true", "num_fewshot=1,seed=3 chat_template=true"),
        ("mini/xnli", "", "guided=true", "sft=true chat_template=true system=x"),
        ("mini/xquad", "", "guided=true", "sft=true chat_template=true system=x"),
        ("mini/panx", "", "seed=3", "guided=true"),
    ],
)
def test_what_says_nothing_of_a_task_is_in_no_name_of_its_prompts(task, usual, says_nothing, says_something, folder):
    spec = Catalog([with_more(folder)]).task(task).spec
    plain = prompt_of(spec, parse_prompt_args(usual))
    for said in says_nothing.split():
        asked = prompt_of(spec, parse_prompt_args(said))
        assert (asked, prompt_name(asked)) == (plain, prompt_name(plain)), said
    for said in says_something.split():
        asked = prompt_of(spec, parse_prompt_args(said))
        assert asked != plain, said
        assert prompt_name(asked) != prompt_name(plain), said


def test_a_text_by_itself_has_one_key_whatever_stands_before_others(folder):
    plain = keys("whole_de", "", with_more(folder))
    assert plain
    for said in ("system=x", "num_fewshot=1", "chat_template=true"):
        assert keys("whole_de", said, folder) == plain, said
    assert keys("first_de", "num_fewshot=1,seed=3", folder) == keys("first_de", "num_fewshot=1", folder)


def test_show_puts_prompts_of_lm_eval_s_files_as_a_run_would(folder, capsys):
    def told(task, prompt_args):
        assert run_eval.main(["show", task, "--include_path", str(folder), "--prompt_args", prompt_args]) == 0
        return capsys.readouterr().out

    assert "prompts of the first, prompt zero-shot, max_new_tokens 3:" in told("ask_deu_Latn", "max_new_tokens=3")
    assert "then at most 3 tokens" in told("ask_deu_Latn", "max_new_tokens=3")
    assert "then at most 8 tokens" in told("ask_deu_Latn", "num_fewshot=0")
    shown = told("nli_de", "num_fewshot=1,system=Be brief.")
    assert "prompt 1-shot, sampler lm_eval, system Be brief." in shown
    first = next(line for line in shown.splitlines() if "context:" in line)
    assert "Be brief." in first
    assert first.count("richtig?") == 1  # that of the example: the question's own is in what follows
    assert run_eval.main(["show", "nli_de", "--include_path", str(folder), "--prompt_args", "chat_template=true"]) == 2
    assert "to do: add --model" in capsys.readouterr().err


def test_the_longest_answer_of_a_run_stands_in_place_of_the_task_s(capsys):
    assert run_eval.main(["show", "mini/xquad", "--prompt_args", "max_new_tokens=5"]) == 0
    assert "then at most 5 tokens" in capsys.readouterr().out


def test_answers_as_long_as_the_whole_input_are_refused_before_a_model_is_loaded(folder, capsys):
    words = ["--route", "prompt", "--include_path", str(folder), "--trust_task_code", "--languages", "de", "--model", "oracle"]

    def planned(task, prompt_args):
        return run_eval.main(["plan", *words, "--tasks", task, "--prompt_args", prompt_args])

    assert planned("mini/xquad,ask_deu_Latn", "max_length=8") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "answers leave no room for the prompt" in err
    assert "expected: answers of less than 8 tokens" in err
    assert "found: mini/xquad: 64 tokens, lm_eval/ask_deu_Latn: 8 tokens" in err
    assert planned("mini/xquad", "max_new_tokens=100,max_length=100") == 2
    assert planned("mini/xquad", "max_new_tokens=99,max_length=100") == 0
    assert planned("mini/xnli", "max_length=8") == 0  # nothing is written there
    capsys.readouterr()
    assert planned("mini/xquad", "max_new_tokens=2048") == 2  # where nothing is said of it, prompt and answer may have as many
    assert "answers of less than 2048 tokens" in " ".join(capsys.readouterr().err.split())


def test_thoughts_need_room_beside_an_answer(folder, capsys):
    words = ["--route", "prompt", "--include_path", str(folder), "--trust_task_code", "--languages", "de", "--model", "oracle"]

    def planned(prompt_args):
        thinking = f"chat_template=true,thinking=on,{prompt_args}"
        return run_eval.main(["plan", *words, "--tasks", "mini/xquad,ask_deu_Latn", "--prompt_args", thinking])

    assert planned("thinking_budget=200,max_length=264") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "--prompt_args max_length and thinking: thoughts and answers leave no room for the prompt" in err
    assert "found: mini/xquad: 264 tokens, 200 of them thoughts" in err
    assert "ask_deu_Latn" not in err
    assert "to do: a lower max_new_tokens or a lower thinking_budget, or a higher max_length" in err
    assert planned("thinking_budget=200,max_length=265") == 0
    assert planned("thinking_budget=3000") == 0  # its room comes on top, where nothing is said of the length
