"""A document is checked again wherever its check could say something else."""

import pytest

from harness.api.project_state import project_state
from harness.planning.catalog import file_checks
from harness.planning.catalog.known_good import KnownGood
from harness.specs.loader import read_document
from harness.specs.task import TaskSpec

TASK = """task: my_nli
type: classification
description: one sentence
languages: [en]
labels: [a, b]
fields: {text: s, label: l}
metrics: [METRIC]
score: [METRIC.accuracy]
data: {test: {files: {rows: [x.jsonl]}, reader: jsonl}}
"""


@pytest.fixture(autouse=True)
def checked(tmp_path, monkeypatch):
    """The names of the documents that were really checked, in a cache of the test's own."""
    seen, check = [], file_checks.check_document
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(
        file_checks, "check_document", lambda document, *a, **k: [seen.append(document), check(document, *a, **k)][1]
    )
    project_state.cache_clear()
    yield seen
    project_state.cache_clear()


def document_of(folder, metric: str = "accuracy"):
    """A task file, as it is read."""
    path = folder / "my_nli.yaml"
    path.write_text(TASK.replace("METRIC", metric), encoding="utf-8")
    return read_document(path)


def check_in_a_process_of_its_own(document, tasks=("my_nli",)):
    """Spec and mistakes, remembered as when a process ends."""
    known = KnownGood()
    found = known.check(document, "task", TaskSpec, tasks=tasks)
    known.write()
    return found


def test_what_was_good_is_parsed_only(tmp_path, checked):
    document = document_of(tmp_path)
    first, second = check_in_a_process_of_its_own(document), check_in_a_process_of_its_own(document)
    assert first == second
    assert first[0] is not None
    assert first[1] == []
    assert len(checked) == 1


def test_what_may_have_become_wrong_is_checked_again(tmp_path, checked, monkeypatch):
    document = document_of(tmp_path)
    check_in_a_process_of_its_own(document)
    check_in_a_process_of_its_own(document, tasks=("my_nli", "other"))  # train_on may name it
    assert len(checked) == 2
    code = tmp_path / "harness" / "metrics.py"
    code.parent.mkdir()
    code.write_text("", encoding="utf-8")
    monkeypatch.setattr("harness.api.project_state.ROOT", tmp_path)
    for text in ("", "KEYS = ()"):
        code.write_text(text, encoding="utf-8")
        project_state.cache_clear()
        check_in_a_process_of_its_own(document)
        check_in_a_process_of_its_own(document)
    assert len(checked) == 4


def test_mistakes_are_never_remembered(tmp_path, checked):
    for _ in range(2):
        spec, errors = check_in_a_process_of_its_own(document_of(tmp_path, "acuracy"))
        assert spec is None
        assert "unknown metric 'acuracy'" in str(errors[0])
    assert check_in_a_process_of_its_own(document_of(tmp_path))[1] == []
    assert check_in_a_process_of_its_own(document_of(tmp_path, "acuracy"))[1]  # the same file, edited
    assert len(checked) == 4


def test_what_other_processes_found_stays(tmp_path, checked, monkeypatch):
    first, second, document = KnownGood(), KnownGood(), document_of(tmp_path)
    first.check(document, "task", TaskSpec, tasks=["my_nli"])
    second.check(document, "task", TaskSpec, tasks=["other"])
    first.write()
    second.write()
    for tasks in (["my_nli"], ["other"]):
        check_in_a_process_of_its_own(document, tasks)
    assert len(checked) == 2
    monkeypatch.setattr("harness.planning.catalog.known_good.MOST", 1)
    check_in_a_process_of_its_own(document, ["third"])
    check_in_a_process_of_its_own(document, ["my_nli"])  # the oldest are forgotten
    assert len(checked) == 4
