"""Caveats on the scores of a task of lm-evaluation-harness, found by rules and not by the task's name.

remarks_on(file, config, sources, language="de")      # ['scored on its validation split: ...', ...]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.data.languages import UNDETERMINED
from harness.planning.catalog.lm_eval_files.sources import RowSources
from harness.specs.lm_eval import Function, LmEvalTask
from harness.specs.task import TaskSpec
from harness.task_types.lm_eval_harness.task_code import file_of

if TYPE_CHECKING:
    from harness.planning.catalog.lm_eval_files.task_file import TaskFile

XTREME_TEST = {"xnli": "test", "paws-x": "test", "xquad": "validation", "mlqa": "test"}
"Last part of a dataset's name -> the split on which XTREME reports it."
ENGLISH_ARTICLES = re.compile(r"squad_metrics|\\b\(a\|an\|the\)\\b")
"Code that normalises answers as SQuAD's script does."
BY_LANGUAGE = re.compile(r"\blang(uage)?\b\s*==")
"Code that asks for the language."


def remarks_on(file: TaskFile, config: LmEvalTask, sources: RowSources, *, language: str) -> list[str]:
    """Every remark, the weightiest first."""
    return [*_rows(file, sources), *_answers(file, config, language), *_choices(config), *_lang(language)]


def remarks_on_shots(spec: TaskSpec, *, per_question: bool = False) -> list[str]:
    """What a reader must know of scores with solved examples before the question, drawn as lm-eval does or by themselves."""
    assert spec.lm_eval is not None
    return list(_examples(spec.lm_eval, spec, per_question=per_question and spec.lm_eval.shots.sampler == "default"))


def remarks_on_writing(spec: TaskSpec, *, sampled: bool = False) -> list[str]:
    """What a reader must know of written answers where lm-eval draws them at random."""
    assert spec.lm_eval is not None
    how = spec.lm_eval.sampling
    if how is None:
        return []
    said = f"temperature {how.temperature:g}, top_p {how.top_p:g}, top_k {how.top_k}"
    if sampled:
        return [f"answers are drawn at random as lm-eval does ({said}), from other random numbers"]
    return [f"the likeliest answer is written, where lm-eval draws one at random ({said})"]


def _rows(file: TaskFile, sources: RowSources) -> Iterator[str]:
    """Remarks on the split that is scored."""
    name = str(file.get("dataset_path")).rpartition("/")[2].lower()
    reported = XTREME_TEST.get(name)
    if file.get("test_split") is None and reported != sources.asked_split:
        reported_by = f"; XTREME reports {reported}" if reported else ""
        yield f"scored on the split '{sources.asked_split}': the file names no test split{reported_by}"
    elif reported and reported != sources.asked_split:
        yield f"scored on the split '{sources.asked_split}'; XTREME reports {reported}"


def _answers(file: TaskFile, config: LmEvalTask, language: str) -> Iterator[str]:
    """Remarks on how answers are compared."""
    scoring = config.process_results
    if not isinstance(scoring, Function):
        return
    path = file_of(scoring.function, file.folder / scoring.folder)
    code = path.read_text(encoding="utf-8", errors="replace") if path else ""
    if language != "en" and ENGLISH_ARTICLES.search(code) and not BY_LANGUAGE.search(code):
        yield "answers are compared in SQuAD's English normal form, whatever the language: no segmentation, English articles"
    taken = file.get("doc_to_target")
    if isinstance(taken, str) and re.search(r"\[\s*0\s*\]", taken):
        yield "only the first of a row's answers counts"


def _examples(config: LmEvalTask, spec: TaskSpec, *, per_question: bool) -> Iterator[str]:
    """Remarks on where solved examples come from."""
    if spec.data.train and spec.data.train == spec.data.test:
        left = (
            "the question's own row left out"
            if config.shots.same_rows or per_question
            else "and the question's own row may be among them"
        )
        yield f"solved examples come from the split that is scored ('{spec.data.test[0].split}'), {left}"
    if per_question:
        yield "solved examples are drawn for each question by itself; lm-eval draws them one question after the other"


def _choices(config: LmEvalTask) -> Iterator[str]:
    """Remarks on what the normalised accuracies divide by."""
    if any(scored.metric == "acc_norm" for scored in config.metrics) and config.process_results is None:
        yield "acc_norm divides by characters, which weigh more in some scripts than in others"


def _lang(language: str) -> Iterator[str]:
    if language == UNDETERMINED:
        yield "its language is und: nothing says it, or its rows are in several languages or in none"
