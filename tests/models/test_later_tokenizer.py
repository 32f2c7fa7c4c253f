"""A tokenizer whose files were read before is read again only where more is asked of it than what was written down."""

import json
import shutil
import threading
from dataclasses import replace

import pytest
from small_runs import Project, differences

import models.loading.tokenizer as loading
from harness.api.errors import UserError
from harness.api.later_tokenizer import LaterTokenizer, at_hand, known_of
from harness.api.model_source import ModelSource
from harness.prediction import token_cache
from harness.prediction.token_cache import tokenizer_hash
from models.loading.tokenizer import KNOWN, adds_first_token, find_tokenizer, load_tokenizer

MOST = 10**6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("made"), tasks="pairs", dropout=0.0)


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """With a cache of its own."""
    monkeypatch.setenv("XLIFT_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(made.model, tmp_path / "model")
    return replace(made, model=tmp_path / "model")


@pytest.fixture
def reads(monkeypatch):
    """The folders that tokenizers were read from."""
    seen = []

    def read(folder, *args, **how):
        seen.append(folder)
        return load_tokenizer(folder, *args, **how)

    monkeypatch.setattr(loading, "load_tokenizer", read)
    return seen


def find(project, **how):
    return find_tokenizer(project.model, ModelSource(path=str(project.model)), vocab_size=how.get("vocab_size", MOST))


def test_what_is_known_is_what_the_tokenizer_says(project, reads):
    first = find(project)
    facts = [tokenizer_hash(first), adds_first_token(first)]
    second = find(project)
    assert [tokenizer_hash(second), adds_first_token(second)] == facts
    own = load_tokenizer(project.model, ModelSource(path=str(project.model)), vocab_size=MOST)
    assert facts == [tokenizer_hash(own), adds_first_token(own)]
    for name in KNOWN:
        assert getattr(second, name) == getattr(own, name)
    assert len(second) == len(own)
    assert reads == [project.model]  # by the first alone
    assert second("the cat sees the dog")["input_ids"] == own("the cat sees the dog")["input_ids"]
    assert second.decode([7, 8]) == own.decode([7, 8])
    assert type(at_hand(second)) is type(own)
    assert len(reads) == 2


def test_files_that_changed_and_models_of_other_sizes_are_read_again(project, reads):
    find(project)
    file = project.model / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": 77}))
    find(project)
    assert len(reads) == 2
    with pytest.raises(UserError, match="do not belong together"):
        find(project, vocab_size=10)
    with pytest.raises(UserError):
        find(project, vocab_size=10)
    assert len(reads) == 4


def test_files_that_change_while_they_are_read_are_not_believed(project, monkeypatch):
    changes = []

    def read(folder, *args, **how):
        changes.append(1)
        (folder / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text() + " ")
        return load_tokenizer(folder, *args, **how)

    monkeypatch.setattr(loading, "load_tokenizer", read)
    before = (project.model / "tokenizer_config.json").read_text()
    find(project)
    (project.model / "tokenizer_config.json").write_text(before)
    find(project)
    assert len(changes) == 2


def test_files_that_change_before_they_are_needed_are_an_error_and_no_other_tokens(project):
    find(project)
    later = find(project)
    file = project.model / "tokenizer_config.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(UserError, match="files have changed"):
        later("the cat")


def test_tokens_that_are_added_later_are_not_what_the_files_say(project):
    first = tokenizer_hash(find(project))
    other = find(project)
    other.add_tokens(["anew"])
    assert tokenizer_hash(other) != first
    assert tokenizer_hash(find(project)) == first


def test_threads_that_ask_at_once_read_it_once():
    read = []

    def slowly():
        read.append(1)
        threading.Event().wait(0.05)
        return "a tokenizer"

    later = LaterTokenizer({"length": 3}, read=slowly, note=lambda known: None)
    threads = [threading.Thread(target=lambda: later.upper()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [1]


def test_what_is_worked_out_is_noted_once():
    noted = []
    later = LaterTokenizer({"length": 3}, read=lambda: "abc", note=lambda known: noted.append(dict(known)))
    assert [known_of(later, "upper", str.upper) for _ in range(2)] == ["ABC", "ABC"]
    assert noted == [{"length": 3, "upper": "ABC"}]


def test_a_run_whose_rows_are_known_reads_no_tokenizer_and_gives_the_same_bytes(project, reads, monkeypatch, tmp_path):
    monkeypatch.setattr(token_cache, "LEAST_TOKENS", 1)
    head = project.run(tmp_path / "trained", tasks="pairs", languages=("de", "sw"))
    assert head.failed == []
    for name in ("cold", "warm"):
        shutil.copytree(tmp_path / "trained", tmp_path / name)
        for verb in ("predict", "score"):
            shutil.rmtree(tmp_path / name / verb)
    shutil.rmtree(tmp_path / "cache")
    reads.clear()
    for name, expected in (("cold", 1), ("warm", 1)):
        assert project.run(tmp_path / name, tasks="pairs", languages=("de", "sw")).failed == []
        assert len(reads) == expected, name
    assert differences(tmp_path / "cold", tmp_path / "trained") == []
    assert differences(tmp_path / "warm", tmp_path / "trained") == []
