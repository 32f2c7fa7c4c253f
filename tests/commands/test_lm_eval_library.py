"""What lm-eval's library asks for beyond its plainest tasks: code that scores or makes rows, whole texts; and what is missing."""

import json
import math
import re

import pytest
from datasets import Value
from small_lm_eval import write_split
from small_models import make_folder
from small_tokenizers import byte_bpe
from test_cli import call

PAGES = ["The mill was built in 1903 by Ada Lund on the hill, and it was called the old mill.", "Short  text.", "x " * 60]
CODE = """
import re

import evaluate
from lm_eval.api.registry import register_filter
from lm_eval.filters.extraction import RegexFilter


@register_filter("first_letter")
class FirstLetter(RegexFilter):
    def __init__(self, *args, **kwargs):
        super().__init__(regex_pattern=kwargs["pattern"], fallback="?")


def overlap(predictions, references, least=0):
    return max(least, len(set(predictions[0].split()) & set(references[0].split())) / len(references[0].split()))


def pair(items):
    return items


def share_of_words(items):
    golds, answers = zip(*items)
    return sum(len(answer.split()) for answer in answers) / sum(len(gold.split()) for gold in golds)


def by_rouge(items):
    return evaluate.load("rouge").compute(predictions=[a for _, a in items], references=[g for g, _ in items])["rouge1"]


def by_model(items):
    return evaluate.load("bertscore").compute(predictions=[], references=[])


def made(**kwargs):
    return {"test": [{"q": f"{kwargs['word']} {n}?", "a": f"a {n}"} for n in range(kwargs["number"])]}


def ends():
    raise SystemExit("no Prolog here")
"""
CLASS = """
from functools import partial
from math import exp

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


def longest(key, items):
    return max(items)


class Quiz(ConfigurableTask):
    VERSION = 1
    DATASET_PATH = "org/quiz"
    DATASET_NAME = None

    def __init__(self, config=None):
        super().__init__(config={"metadata": {"version": self.VERSION}})

    def has_validation_docs(self):
        return True

    def validation_docs(self):
        return self.dataset["validation"]

    def doc_to_text(self, doc):
        return doc["q"]

    def doc_to_target(self, doc):
        return " " + doc["a"]

    def construct_requests(self, doc, ctx, **kwargs):
        written = Instance(request_type="generate_until", doc=doc, arguments=(ctx, {"until": ["."], "max_gen_toks": 6}), idx=0)
        rated = Instance(request_type="loglikelihood", doc=doc, arguments=(ctx, " unanswerable"), idx=0)
        return [written, rated]

    def process_results(self, doc, results):
        text, (likelihood, greedy) = results
        return {"same": float(text == self.doc_to_target(doc)), "nothing": exp(likelihood), "chars": len(text)}

    def aggregation(self):
        return {"same": np.mean, "nothing": np.mean, "chars": partial(longest, "chars")}
"""
HEAD = "dataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n"
ASK = HEAD + 'doc_to_text: "{{q}}"\ndoc_to_target: a\ngeneration_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: %s}\n'
CORPUS = "metric_list: [{metric: !function code.pair, aggregation: !function code.%s}]\n"
FILES = {
    "overlap.yaml": "task: overlap\n" + ASK % "true, temperature: 0.8" + """
metric_list:
  - {metric: !function code.overlap, aggregation: mean, higher_is_better: true, least: 0.25}
  - {metric: !function code.pair, aggregation: !function code.share_of_words, higher_is_better: true}
""",
    "letters.yaml": "task: letters\n" + ASK % "false, num_beams: 4" + """
filter_list: [{name: own, filter: [{function: first_letter, pattern: "([a-z])"}, {function: take_first}]}]
metric_list: [{metric: exact_match}, {metric: ter}, {metric: chrf++}]
""",
    "pages.yaml": "task: pages\noutput_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: a\n" + HEAD,
    "made.yaml": """
task: made
custom_dataset: !function code.made
dataset_kwargs: {number: 5}
metadata: {word: How}
test_split: test
doc_to_text: "{{q}}"
doc_to_target: a
metric_list: [{metric: exact_match}]
""",
    "unsafe.yaml": "task: unsafe\nunsafe_code: true\n" + ASK % "false",
    "rouge.yaml": "task: rouge\n" + ASK % "false" + CORPUS % "by_rouge",
    "bert.yaml": "task: bert\n" + ASK % "false" + CORPUS % "by_model",
    "broken.yaml": "task: broken\n" + ASK % "false" + "process_docs: !function broken.f\n",
    "broken.py": "import a_package_that_is_nowhere\n\nf = None\n",
    "code.py": CODE,
    "quiz.yaml": "task: quiz\nclass: !function quiz_class.Quiz\n",
    "quiz_class.py": CLASS,
    "strange.yaml": "task: strange\nclass: !function quiz_class.longest\n",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = [{"q": f"Say {page.split()[0]}:", "a": page} for page in PAGES]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def words(folder, root, tasks, *more):
    common = ["--include_path", str(folder), "--tasks", tasks, "--output_path", str(root), "--quiet"]
    return [*common, *(more if "--model" in more else ["--model", "oracle", *more])]


def scores(root):
    board = json.loads((root / "leaderboard.json").read_text(encoding="utf-8"))
    rows = {row["task"].removeprefix("lm_eval/"): row["metrics"] for row in board["rows"]}
    return {name: {key: number["value"] for key, number in metrics.items()} for name, metrics in rows.items()}, board


def test_functions_score_examples_and_corpora_as_the_file_says(folder, tmp_path, capsys):
    code, _, err = call(capsys, *words(folder, tmp_path / "runs", "overlap,letters,made", "--trust_task_code"))
    assert code == 0, err
    found, board = scores(tmp_path / "runs")
    shares = [max(0.25, len(set(page.split())) / len(page.split())) for page in PAGES]
    assert found["overlap"] == {
        "lm_eval_mean:overlap.mean": pytest.approx(100 * sum(shares) / 3),
        "lm_eval_mean:pair.mean": pytest.approx(100.0),
    }
    assert found["made"] == {"lm_eval_mean:exact_match.mean": 100.0}
    assert {row["counts"]["examples"] for row in board["rows"] if row["task"] == "lm_eval/made"} == {5}
    notes = {name.removeprefix("lm_eval/"): " | ".join(task["notes"]) for name, task in board["tasks"].items()}
    assert "lm-eval draws one at random (temperature 0.8, top_p 1, top_k 50)" in notes["overlap"]
    assert "pair: the task's own function of all examples at once" in notes["overlap"]
    assert "lm-eval searches with 4 beams" in notes["letters"]
    assert "lower is better: ter" in notes["letters"]
    code, _, err = call(capsys, *words(folder, tmp_path / "runs", "overlap,letters,made", "--trust_task_code"))
    assert (code, "6 done, 0 to do" in err) == (0, True)


def test_a_filter_that_code_registers_is_found_by_its_name(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    assert call(capsys, *words(folder, root, "letters", "--trust_task_code"))[0] == 0
    (path,) = root.glob("predict/*letters*/predictions.jsonl")
    values = [json.loads(line)["prediction"]["values"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert [value["ter,own"] for value in values] == [[page, page[re.search("[a-z]", page).start()]] for page in PAGES]


def test_a_corpus_function_gives_the_number_and_not_a_mean_of_examples(folder, tmp_path, capsys):
    root = tmp_path / "runs"
    model = make_folder("llama", tmp_path / "model", own=byte_bpe(prefix_space=False))
    assert call(capsys, *words(folder, root, "overlap", "--trust_task_code", "--model", model, "--route", "prompt"))[0] == 0
    (path,) = root.glob("predict/*overlap*/predictions.jsonl")
    said = [json.loads(line)["prediction"]["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    share = sum(len(text.split()) for text in said) / sum(len(page.split()) for page in PAGES)
    assert scores(root)[0]["overlap"]["lm_eval_mean:pair.mean"] == pytest.approx(100 * share)


def test_answers_are_drawn_where_the_file_says_so_and_a_run_asks_for_it(folder, tmp_path, capsys):
    (folder / "draws.yaml").write_text(
        "task: draws\nrepeats: 3\n" + ASK % "true, temperature: 1.5" + "filter_list: [{name: votes, filter: "
        "[{function: majority_vote}, {function: take_first}]}]\nmetric_list: [{metric: exact_match}]\n", encoding="utf-8",
    )  # fmt: skip
    model = make_folder("llama", tmp_path / "model", own=byte_bpe(prefix_space=False))
    said = {}
    for name, args in (
        ("greedy", "seed=1"),
        ("first", "sampling=true"),
        ("again", "sampling=true"),
        ("other", "sampling=true,seed=4"),
    ):
        how = ["--trust_task_code", "--model", model, "--route", "prompt", "--prompt_args", args]
        assert call(capsys, *words(folder, tmp_path / name, "draws", *how))[0] == 0
        (path,) = (tmp_path / name).glob("predict/*draws*/predictions.jsonl")
        said[name] = [json.loads(line)["prediction"] for line in path.read_text(encoding="utf-8").splitlines()]
        board = json.loads((tmp_path / name / "leaderboard.json").read_text(encoding="utf-8"))
        note = "answers are drawn at random as lm-eval does" if "sampling" in args else "the likeliest answer is written"
        assert any(note in one for one in board["tasks"]["lm_eval/draws"]["notes"])
    assert said["first"] == said["again"] != said["other"]
    assert [len(one["texts"]) for one in said["first"]] == [3, 3, 3]
    assert all(len(set(one["texts"])) > 1 for one in said["first"])
    assert "texts" not in said["greedy"][0]
    assert said["greedy"] != said["first"]
    code, _, err = call(
        capsys, "plan", *words(folder, tmp_path / "runs", "made", "--trust_task_code", "--prompt_args", "sampling=true")
    )
    assert (code, "no task of this run draws answers at random" in err) == (2, True)


def test_perplexities_are_those_of_the_tokens_of_the_text(folder, tmp_path, capsys):
    import torch
    from transformers import AutoModelForCausalLM

    root, longest = tmp_path / "runs", 16
    tokenizer = byte_bpe(prefix_space=False)
    model = make_folder("llama", tmp_path / "model", own=tokenizer)
    how = ["--route", "prompt", "--prompt_args", f"max_length={longest}", "--model_args", "dtype=float32", "--model", model]
    assert call(capsys, *words(folder, root, "pages", *how))[0] == 0
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    total = 0.0
    for page in PAGES:
        ids = tokenizer(page)["input_ids"]
        for end in range(1, len(ids) + 1):  # token by token, with the context of the window that predicts it
            window = min(-(-end // longest) * longest, len(ids))
            begin = max(0, window - longest - 1) if window > longest else 0
            before = ([tokenizer.eos_token_id] if begin == 0 and window <= longest else []) + ids[begin : end - 1]
            with torch.no_grad():
                logits = network(torch.tensor([before])).logits[0, -1]
            total += float(torch.log_softmax(logits, -1)[ids[end - 1]])
    found = scores(root)[0]["pages"]
    num_words = sum(len(re.split(r"\s+", page)) for page in PAGES)
    num_bytes = sum(len(page.encode()) for page in PAGES)
    assert found["lm_eval_perplexity:word_perplexity.perplexity"] == pytest.approx(math.exp(-total / num_words), rel=1e-4)
    assert found["lm_eval_perplexity:byte_perplexity.perplexity"] == pytest.approx(math.exp(-total / num_bytes), rel=1e-4)
    assert found["lm_eval_bits_per_byte:bits_per_byte.bits_per_byte"] == pytest.approx(-total / num_bytes / math.log(2), rel=1e-4)


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        ("overlap", (), "--trust_task_code"),
        ("unsafe", ("--trust_task_code",), "allow it with --trust_generated_code"),
        ("bert", ("--trust_task_code",), "--trust_evaluate_metrics"),
        ("broken", ("--trust_task_code",), "No module named 'a_package_that_is_nowhere'\n  to do: install what it imports"),
    ],
)
def test_what_is_missing_or_not_allowed_is_said_before_anything_is_loaded(folder, tmp_path, capsys, task, more, message):
    for first in ((), ("plan",)):
        code, _, err = call(capsys, *first, *words(folder, tmp_path / "runs", task, "--model", "nowhere/model", *more))
        assert (code, message in err) == (2, True), err
    assert not (tmp_path / "runs").exists()


def test_a_metric_that_needs_a_package_names_it(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rouge_score", None)
    monkeypatch.setitem(__import__("sys").modules, "rouge_score.rouge_scorer", None)
    code, _, err = call(capsys, "plan", *words(folder, tmp_path / "runs", "rouge", "--trust_task_code"))
    assert (code, "task code needs the package 'rouge_score'" in err, "pip install rouge-score" in err) == (2, True, True)


def test_unsafe_tasks_run_where_that_is_allowed(folder, tmp_path, capsys):
    assert call(capsys, *words(folder, tmp_path / "runs", "unsafe", "--trust_generated_code"))[0] == 0
    assert scores(tmp_path / "runs")[0]["unsafe"] == {"lm_eval_mean:exact_match.mean": 100.0}


def test_a_task_that_is_a_class_asks_for_a_text_and_a_likelihood_of_each_row(folder, tmp_path, capsys):
    rows = [{"q": f"Say {page.split()[0]}:", "a": page} for page in PAGES]
    write_split(tmp_path / "mirror" / "org/quiz" / "data", "validation", rows, {"q": Value("string"), "a": Value("string")})
    root, model = tmp_path / "runs", make_folder("llama", tmp_path / "model", own=byte_bpe(prefix_space=False))
    how = ["--data_dir", str(tmp_path / "mirror"), "--trust_task_code", "--route", "prompt", "--model", model]
    code, _, err = call(capsys, *words(folder, root, "quiz", *how, "--model_args", "dtype=float32"))
    assert code == 0, err
    (path,) = root.glob("predict/*quiz*/predictions.jsonl")
    said = [json.loads(line)["prediction"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(said) == len(PAGES)
    found = scores(root)[0]["quiz"]
    longest = max(len(one["text"]) for one in said)
    assert found["lm_eval_mean:chars.mean"] == pytest.approx(100 * longest)
    assert 0 < found["lm_eval_mean:nothing.mean"] < 1  # of a model with random weights, in percent
    code, out, _ = call(capsys, "show", "quiz", "--include_path", str(folder), "--data_dir", str(tmp_path / "mirror"), *how[2:3])
    assert (code, "then at most 6 tokens" in out, "then: ' unanswerable'" in out or "unanswerable" in out) == (0, True, True)


def test_a_class_that_cannot_be_read_is_refused(folder, tmp_path, capsys):
    code, _, err = call(capsys, "plan", *words(folder, tmp_path / "runs", "strange"))
    assert (code, "strange.yaml:2 class: 'quiz_class.longest' is no task class" in err) == (2, True), err
