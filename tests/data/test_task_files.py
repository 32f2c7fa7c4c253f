"""The shipped task and group files: every one is read, and each says what the datasets and XTREME's own lists say."""

import fnmatch

import pytest

from harness.api.registry import ROOT
from harness.data.languages import language
from harness.data.rows import filled, mentions_languages
from harness.planning.catalog.catalog import Catalog
from harness.specs.loader import parse, read_document
from harness.specs.task import GroupSpec, TaskSpec

LANGUAGES = {
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx": "de en es fr ja ko zh",
    "pawsx_xtreme": "de en es fr ja ko zh",
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    "udpos_hub": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    "panx": "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur "
    "fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu",
    "xquad": "en es de el ru tr ar vi th zh hi",
    "mlqa": "en es de ar hi vi zh",
    "tydiqa": "en ar bn fi id ko ru sw te",
    "bucc2018": "de fr ru zh",
    "tatoeba": "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu",
}
OTHERS = ("recipes", "studies", "devices")
FILES = sorted(path for path in (ROOT / "tasks").rglob("[!_]*.yaml") if path.parent.name not in OTHERS)
SPECS = {}
for path in FILES:
    document = read_document(path)
    kind = "group" if "group" in document.values else "task"
    SPECS[kind, document.values.get(kind)] = (document, GroupSpec if kind == "group" else TaskSpec)
TASKS = sorted(name for kind, name in SPECS if kind == "task")


def task(name):
    spec, errors = parse(*SPECS["task", name])
    assert not errors, errors
    return spec


def test_all_files_are_read():
    assert len(SPECS) == len(FILES)
    assert {"mnli", "qqp", "squad_v1", "mlm", "translation_ranking", *LANGUAGES} <= set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_complete(name):
    spec = task(name)
    for lang in (*spec.languages, *spec.train_languages):
        for split in ("train", "validation", "test"):
            for source in getattr(spec.data, split):
                assert source.world or not mentions_languages(filled(source, lang))
    assert not spec.data.test or (spec.metrics and spec.languages)
    assert spec.data.train or spec.data.test
    if spec.train_on:
        assert task(spec.train_on).data.train
        assert task(spec.train_on).labels == spec.labels
        assert task(spec.train_on).type == spec.type
    for other in (source for split in ("train", "validation") for source in getattr(spec.data, split)):
        assert other not in spec.data.test


@pytest.mark.parametrize("key", [key for key in SPECS if key[0] == "group"])
def test_members_of_groups_exist(key):
    spec, errors = parse(*SPECS[key])
    assert not errors, errors
    names = [name for _, name in SPECS]
    assert [member for member in spec.members if not fnmatch.filter(names, member)] == []


def test_groups_of_groups_give_all_of_xtreme():
    assert Catalog().select("xtreme") == ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]


@pytest.mark.parametrize("name", LANGUAGES)
def test_languages_are_those_of_xtremes_evaluate_script(name):
    assert " ".join(task(name).languages) == LANGUAGES[name]
    assert all(language(code) for code in task(name).languages)


@pytest.mark.parametrize("name", ["xquad", "mlqa", "tydiqa", "squad_v1", "squad_v2", "tatoeba"])
def test_tasks_whose_development_rows_are_test_rows_select_nothing(name):
    assert task(name).selection == "none"
    assert not task(name).data.validation


def test_same_task_cells():
    assert {name: task(name).same_task for name in LANGUAGES if task(name).same_task} == {
        "xnli": ("mnli", "anli_plus"),
        "xquad": ("squad_v1", "squad_v2"),
        "mlqa": ("squad_v1", "squad_v2"),
    }


def test_revisions_are_commits():
    sources = [s for name in TASKS for split in ("train", "validation", "test") for s in getattr(task(name).data, split)]
    pinned = {source.hub: source.revision for source in sources if source.revision}
    assert set(pinned) >= {"nyu-mll/glue", "rajpurkar/squad", "facebook/xnli", "google-research-datasets/paws-x"}
    assert set(pinned) >= {"Rowan/hellaswag", "tau/commonsense_qa", "allenai/cosmos_qa"}
    assert all(len(commit) == 40 and set(commit) <= set("0123456789abcdef") for commit in pinned.values())
