"""Metrics and filters of lm-eval's tasks give what the lm-eval package gives for the same answers.

XLIFT_LM_EVAL_PYTHON=<python with lm-eval> pytest -m real tests/scoring/test_lm_eval_metrics_real.py
"""

import json
import random
import subprocess

import pytest
from small_lm_eval_parts import CODE, telling

from harness.scoring.score import score_value
from harness.specs.lm_eval import Filter, LmEvalMetric, Step
from harness.task_types.lm_eval_harness.evaluate_metrics import load
from harness.task_types.lm_eval_harness.filters import apply_filter
from harness.task_types.lm_eval_harness.process_results import score

pytestmark = pytest.mark.real
THEIRS = """
import json, sys
from lm_eval.api import metrics
from lm_eval.filters import build_filter_ensemble
for line in sys.stdin:
    kind, name, items = json.loads(line)
    if kind == "aggregation":
        print(json.dumps(float(getattr(metrics, name)([tuple(item) for item in items] if isinstance(items[0], list) else items))))
    else:
        steps = build_filter_ensemble("f", [(name, None)]).filters
        print(json.dumps(list(steps[0]().apply(items, [{}] * len(items)))))
"""
WORDS = (
    "the", "cat", "sat,", "on", "a", "mat.", "Ada", "PER", "location:", "New-York", "$", "$$", "none", "Katze", "शहर", "東京",
    "don't", "3,000.5", "(x)",
)  # fmt: skip
NER = (
    "Person: Ada, Bo $$ LOCATION: none\nDate: 3 May$$", "per:x", "Nothing", "LOC: Kenya, Uganda $ country : Mali",
    "time: noon ORG: a$",
)  # fmt: skip
POS = ("[('Ada', 'PROPN'), ('sees', 'VERB')]", "[(\"Ada\", 'PROPN')]", "('a', 'X')('b','Y')", "")


def texts(rng, number=23):
    """Pairs of a reference and an answer that share words."""
    found = []
    for _ in range(number):
        reference = rng.choices(WORDS, k=rng.randint(1, 12))
        answer = [word for word in reference if rng.random() < 0.7] + rng.choices(WORDS, k=rng.randint(0, 3))
        found.append([" ".join(reference), " ".join(answer)])
    return found


JOBS = {
    "ter": ("lm_eval_ter", "ter", texts),
    "chrfpp": ("lm_eval_chrf_plus_plus", "chrf_plus_plus", texts),
    "bleu": ("lm_eval_bleu", "bleu", texts),
    "chrf": ("lm_eval_chrf", "chrf", texts),
    "perplexity": ("lm_eval_perplexity", "perplexity", lambda rng: [-rng.expovariate(0.3) for _ in range(31)]),
    "weighted_perplexity": (
        "lm_eval_perplexity", "perplexity", lambda rng: [[-rng.expovariate(0.01), rng.randint(1, 90)] for _ in range(31)],
    ),
    "bits_per_byte": (
        "lm_eval_bits_per_byte", "bits_per_byte", lambda rng: [[-rng.expovariate(0.01), rng.randint(1, 90)] for _ in range(31)],
    ),
    "matthews_corrcoef": ("lm_eval_mcc", "mcc", lambda rng: [[rng.randint(0, 1), rng.randint(0, 1)] for _ in range(31)]),
    "f1_score": ("lm_eval_f1", "f1", lambda rng: [[rng.randint(0, 1), rng.randint(0, 1)] for _ in range(31)]),
}  # fmt: skip
"Function of lm_eval.api.metrics -> metric and key of ours, and values to score."
PERCENT = ("matthews_corrcoef", "f1_score")


def theirs(python, jobs):
    """What the package answers."""
    text = "".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs)
    answer = subprocess.run([str(python), "-c", THEIRS], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_numbers_of_a_corpus_are_those_of_the_package(lm_eval_python):
    rng = random.Random(5)
    jobs = [("aggregation", name, make(rng)) for name, (_, _, make) in JOBS.items() for _ in range(3)]
    found = theirs(lm_eval_python, jobs)
    assert len(found) == 27
    for (_, name, items), number in zip(jobs, found):
        metric, key, _ = JOBS[name]
        lines = [
            {"id": str(n), "prediction": {"values": {"value": item}}, "gold": "", "lang": "en", "num_truncated": 0, "notes": []}
            for n, item in enumerate(items)
        ]
        ours = score_value(lines, metrics=[metric], score=[f"{metric}.{key}"], lang="en")
        assert ours == pytest.approx(number * (100 if name in PERCENT else 1), rel=1e-12), name


def test_filters_give_what_those_of_the_package_give(lm_eval_python):
    rng = random.Random(6)
    made_up = [" ".join(rng.choices(WORDS, k=9)) for _ in range(40)]
    spans = [[text, text.upper()] for text in (*NER, *made_up)]
    jobs = [("filter", "format_span", spans), ("filter", "regex_pos", [[text] for text in POS])]
    for (_, name, answers), wanted in zip(jobs, theirs(lm_eval_python, jobs), strict=True):
        found = apply_filter(Filter(name="f", steps=(Step(function=name),)), answers, [{}] * len(answers), code=CODE)
        assert found == wanted, name


def test_brier_scores_are_those_of_the_package(lm_eval_python):
    rng = random.Random(7)
    rows = [([-rng.expovariate(0.5) for _ in range(4)], rng.randrange(4)) for _ in range(19)]
    renderer = telling(
        "a", doc_to_text="q", doc_to_target="a", doc_to_choice=["w", "x", "y", "z"], output_type="multiple_choice",
        metrics=(LmEvalMetric(metric="brier_score", aggregation="brier_score"),),
    )  # fmt: skip
    ours = [
        score(renderer, {"a": gold}, [(one, False) for one in likelihoods], inputs=0, targets=0)["brier_score"]
        for likelihoods, gold in rows
    ]
    script = (
        "import json, sys\nfrom lm_eval.api.metrics import brier_score\nfrom lm_eval.utils import softmax\nimport numpy as np\n"
        "print(float(brier_score([(gold, softmax(np.array(one))) for one, gold in json.load(sys.stdin)])))"
    )
    answer = subprocess.run(
        [str(lm_eval_python), "-c", script], input=json.dumps(rows), capture_output=True, text=True, check=True
    )
    assert sum(ours) / len(ours) == pytest.approx(float(answer.stdout), rel=1e-12)


SQUAD = """
import json, sys
from types import SimpleNamespace
from transformers.data.metrics.squad_metrics import squad_evaluate
questions = json.load(sys.stdin)
examples = [SimpleNamespace(qas_id=q["id"], answers=[{"text": text} for text in q["golds"]]) for q in questions]
said = {q["id"]: q["said"] for q in questions}
nothing = {q["id"]: q["nothing"] for q in questions}
print(json.dumps(squad_evaluate(examples, said, nothing, no_answer_probability_threshold=1.0)))
"""
"""The official evaluation of SQuAD 2.0, which `evaluate.load("squad_v2")` downloads."""


def test_squad_v2_is_that_of_the_official_script(lm_eval_python):
    rng = random.Random(8)
    words = ["the", "mill", "of", "Ada", "a", "1903", "river!", "The"]
    questions = []
    for number in range(60):
        golds = [" ".join(rng.choices(words, k=rng.randint(1, 3))) for _ in range(rng.choice((0, 1, 3)))]
        said = rng.choice([*golds, "", " ".join(rng.choices(words, k=2))])
        questions.append({"id": str(number), "golds": golds, "said": said, "nothing": round(rng.random(), 3)})
    command = [str(lm_eval_python), "-c", SQUAD]
    answer = subprocess.run(command, input=json.dumps(questions), capture_output=True, text=True, check=True)
    theirs = json.loads(answer.stdout)
    ours = load("squad_v2").compute(
        predictions=[{"id": q["id"], "prediction_text": q["said"], "no_answer_probability": q["nothing"]} for q in questions],
        references=[{"id": q["id"], "answers": {"text": q["golds"], "answer_start": [0] * len(q["golds"])}} for q in questions],
    )
    assert ours == {name: pytest.approx(value, rel=1e-12) for name, value in theirs.items()}
    assert {"exact", "HasAns_f1", "NoAns_exact", "best_f1", "best_exact_thresh"} <= set(ours)
