"""A list of this project's own files is made once, and again wherever it could say something else."""

import pytest
from test_cli import modules_of

import run_eval
from harness.api.project_state import ProjectState, project_state
from harness.commands import _lists, ls


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The filters of the lists of tasks that were really made, in a cache of the test's own, of files that are long the same."""
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    seen, tasks = [], _lists.LISTS["tasks"]
    monkeypatch.setattr(
        _lists, "LISTS", {**_lists.LISTS, "tasks": lambda catalog, wanted: [seen.append(wanted), tasks(catalog, wanted)][1]}
    )
    monkeypatch.setattr(ls, "project_state", lambda *folders: ProjectState("as it is", is_certain=True))
    return seen


def listed(capsys, *words: str) -> str:
    """What `ls tasks` prints."""
    assert run_eval.main(["ls", "tasks", *words]) == 0
    return capsys.readouterr().out


def test_the_second_time_a_list_is_as_it_was_and_is_not_made(made, capsys):
    assert listed(capsys) == listed(capsys)
    assert listed(capsys, "--type", "tagging") == listed(capsys, "--type", "tagging")
    assert len(made) == 2


def test_each_width_of_a_terminal_has_a_list_of_its_own(made, capsys, monkeypatch):
    for columns in ("120", "200", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        assert max(map(len, listed(capsys).splitlines())) <= int(columns)
    assert len(made) == 2


def test_a_list_is_made_again_once_a_file_of_the_project_has_changed(made, capsys, monkeypatch):
    listed(capsys)
    monkeypatch.setattr(ls, "project_state", lambda *folders: ProjectState("edited", is_certain=True))
    listed(capsys)
    listed(capsys)
    assert len(made) == 2
    monkeypatch.setattr(ls, "project_state", lambda *folders: ProjectState("edited just now", is_certain=False))
    listed(capsys)
    listed(capsys)  # the file may have changed once more, within the same moment
    assert len(made) == 4


def test_files_of_the_users_own_are_looked_at_each_time(made, capsys, tmp_path):
    listed(capsys)
    own = tmp_path / "own"
    own.mkdir()
    assert listed(capsys, "--include_path", str(own)) == listed(capsys)
    (own / "mine.yaml").write_text("group: mine\nmembers: [xnli]\n", encoding="utf-8")
    listed(capsys, "--include_path", str(own))
    assert len(made) == 3


def test_what_was_wrong_is_said_again(made, capsys):
    for _ in range(2):
        assert run_eval.main(["ls", "tasks", "--languages", "xx"]) == 2
        assert "unknown language 'xx'" in capsys.readouterr().err
    assert made == []


def test_only_the_newest_lists_are_remembered(made, capsys, monkeypatch):
    monkeypatch.setattr(ls, "MOST", 1)
    for language in ("de", "sw", "sw", "de"):
        listed(capsys, "--languages", language)
    assert [wanted.languages for wanted in made] == [("de",), ("sw",), ("de",)]


def test_what_was_listed_before_reads_no_spec(tmp_path, monkeypatch):
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path))
    if not project_state("harness", "models", "tasks").is_certain:
        pytest.skip("a file of this project has just been changed")
    modules_of("ls", "metrics")
    code, names = modules_of("ls", "metrics")
    assert code == 0
    assert names & {"yaml", "pydantic", "jinja2", "numpy"} == set()


def test_a_project_is_another_once_a_file_is_edited_added_or_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.api.project_state.ROOT", tmp_path)
    folder = tmp_path / "tasks" / "own"
    folder.mkdir(parents=True)
    digests = []
    for text in ("a", "bc", "de", None):
        (folder / "a.yaml").unlink(missing_ok=True) if text is None else (folder / "a.yaml").write_text(text, encoding="utf-8")
        project_state.cache_clear()
        digests.append(project_state("tasks").digest)
        assert project_state("tasks").is_certain == (text is None)  # written just now
    project_state.cache_clear()
    assert len(set(digests)) == 4


def test_a_link_to_nothing_among_the_files_ends_no_list(tmp_path, monkeypatch):
    """Emacs keeps one beside a file that is being edited."""
    monkeypatch.setattr("harness.api.project_state.ROOT", tmp_path)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / ".#xnli.yaml").symlink_to("somebody@somewhere:1")
    project_state.cache_clear()
    assert not project_state("tasks").is_certain, "nothing is remembered then"
    project_state.cache_clear()
