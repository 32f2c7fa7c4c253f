"""A folder of task files in the format of lm-evaluation-harness, made up, with a few rows beside them.

folder = write_folder(tmp_path)         # nli_de, nli_sw, quiz (code beside it), cloze, ask; the group nli; the tag written
"""

import json
from pathlib import Path

NLI = [
    {"premise": "Es regnet.", "hypothesis": "Es ist nass.", "label": 0},
    {"premise": "Anna schläft", "hypothesis": "Anna läuft.", "label": 1},
    {"premise": "Das Buch ist 'neu'. ", "hypothesis": 'Es ist "alt".', "label": 1},
]
ASK = [
    {"question": "Wie viele? ", "answers": {"text": ["42", "zweiundvierzig"]}},
    {"question": "Wer [sic] war es?", "answers": {"text": ["Ada"]}},
]
FILES = {
    "base/nli_base_yaml": """
tag: written
task: null
dataset_path: json
output_type: multiple_choice
validation_split: train
doc_to_text: ""
doc_to_target: label
doc_to_choice: '{{[premise+", richtig? Ja, "+hypothesis, premise+", richtig? Nein, "+hypothesis]}}'
metric_list:
  - metric: acc
  - metric: acc_norm
    aggregation: mean
    high_is_better: true
metadata: {version: 1.0}
""",
    "nli/nli_de.yaml": """
include: ../base/nli_base_yaml
task: nli_de
dataset_name: de
dataset_kwargs: {data_files: de.jsonl}
""",
    "nli/nli_sw.yaml": """
include: ../base/nli_base_yaml
"task": "nli_sw"
dataset_name: sw
dataset_kwargs: {data_files: sw.jsonl}
description: "Maelezo: "
""",
    "nli/_nli.yaml": """
group: nli
task:
  - nli_de
  - task: nli_sw
    num_fewshot: 1
  - task: inner
    dataset_path: json
    dataset_kwargs: {data_files: de.jsonl}
    validation_split: train
    output_type: multiple_choice
    doc_to_text: premise
    doc_to_target: label
    doc_to_choice: ["ja", "nein"]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]
""",
    "quiz/quiz.yaml": """
task: quiz
dataset_path: json
dataset_kwargs: {data_files: {test: de.jsonl}}
test_split: test
process_docs: !function code.prepare
doc_to_text: !function code.question
doc_to_target: label
doc_to_choice: !function code.CHOICES
output_type: multiple_choice
metric_list: [{metric: acc}]
""",
    "quiz/code.py": """
from helper_of_quiz import mark


CHOICES = lambda row: ["ja", "nein"]


def prepare(rows):
    return rows.filter(lambda row: "neu" not in row["premise"]).map(lambda row: {"told": mark(row["premise"])})


def question(row):
    return row["told"]
""",
    "quiz/helper_of_quiz.py": "def mark(text):\n    return '> ' + text\n",
    "cloze/cloze.yaml": """
task: cloze
dataset_path: json
dataset_kwargs: {data_files: de.jsonl}
validation_split: train
doc_to_text: label
doc_to_target: " {{hypothesis}}"
doc_to_choice: ["{{premise}}", "Nein"]
output_type: multiple_choice
metric_list: [{metric: acc}]
""",
    "ask/ask.yaml": """
task: ask_deu_Latn
dataset_path: json
dataset_kwargs: {data_files: ask.jsonl}
validation_split: train
doc_to_text: "F: {{question}}\\nA:"
doc_to_target: "{{answers.text}}"
generation_kwargs: {until: ["\\n", "."], max_new_tokens: 8, do_sample: false}
gen_prefix: "Antwort"
repeats: 2
filter_list:
  - {name: strict, filter: [{function: take_first}]}
  - {name: number, filter: [{function: regex, regex_pattern: "[0-9]+"}, {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, ignore_punctuation: true}
""",
}


def write_folder(folder: Path) -> Path:
    """Write the files and their rows; gives the folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, rows in (("nli/de", NLI), ("nli/sw", NLI[:2]), ("quiz/de", NLI), ("cloze/de", NLI), ("ask/ask", ASK)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder
