"""Parts of lm-eval tasks by themselves: files written under short names, and what tells the texts of a row.

write(tmp_path, t__yaml="task: t\n", base="task: null\n")                  # t.yaml, base
telling("q", doc_to_text="{{q}}", doc_to_target=0).text({"q": "?"})
"""

from pathlib import Path

from harness.specs.lm_eval import LmEvalTask
from harness.task_types.lm_eval_harness.task_code import TaskCode
from harness.task_types.lm_eval_harness.templates import RowRenderer

CODE = TaskCode(folder=Path("."))


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def telling(*columns, **values):
    return RowRenderer(config=LmEvalTask(**values), code=CODE, columns=frozenset(columns))
