"""UDPOS rebuilt from Universal Dependencies by XTREME's rules: its files, tokens and tags; and how it is told from the hub's."""

import hashlib
import json
from functools import cache

import pytest

import run_eval
from harness.api.errors import MissingData
from harness.api.registry import READERS
from harness.data.examples import data_fingerprint, load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog

RELEASE = "ud-treebanks-v2.5"


@cache
def catalog():
    return Catalog()


def line(number, form="_", tag="_", head="_", deps="_"):
    return "\t".join([str(number), form, "_", tag, "_", "_", str(head), "_", deps, "_"])


def conllu(*sentences):
    return "".join("\n".join(lines) + "\n\n" for lines in sentences)


def plain(*words):
    """A sentence of `form/TAG` words that hang from the first."""
    split = [word.rsplit("/", 1) for word in words]
    return [line(n, form, tag, 0 if n == 1 else 1) for n, (form, tag) in enumerate(split, start=1)]


@pytest.fixture
def fused(tmp_path):
    def read(*sentences, lang="de"):
        path = tmp_path / "rows.conllu"
        path.write_text(conllu(*sentences), encoding="utf-8")
        rows = READERS.load("ud_fused").read({"rows": path}, lang=lang, options={})
        return [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows]

    return read


def test_a_multiword_token_keeps_its_surface_form_and_the_tag_of_the_word_nearest_the_root(fused):
    sentence = [
        line(1, "Ich", "PRON", 2),
        line(2, "gehe", "VERB", 0),
        line("3-4", "zum"),
        line(3, "zu", "ADP", 5),
        line(4, "dem", "DET", 3),
        line(5, "Haus", "NOUN", 2),
        line("5.1", "leer", "VERB"),
    ]
    assert fused(sentence) == [[("Ich", "PRON"), ("gehe", "VERB"), ("zum", "ADP"), ("Haus", "NOUN")]]
    other = [*sentence[:3], line(3, "zu", "ADP", 4), line(4, "dem", "DET", 5), *sentence[5:]]
    assert fused(other)[0][2] == ("zum", "DET")


def span(first, second, *, deps=("_", "_")):
    """Two words in one token that hang from the same verb."""
    return [
        line(1, "x", "VERB", 0),
        line("2-3", "ab"),
        line(2, "a", first, 1, deps[0]),
        line(3, "b", second, 1, deps[1]),
        line(4, "y", "NOUN", 1),
    ]


@pytest.mark.parametrize(
    ("lang", "first", "second", "tag"),
    [
        ("de", "DET", "ADP", "ADP"),
        ("de", "ADV", "PRON", "PRON"),
        ("it", "PRON", "ADV", "ADV"),
        ("de", "AUX", "ADV", "ADV"),
        ("es", "ADV", "DET", "DET"),
        ("fr", "NUM", "ADP", "ADP"),
        ("fr", "SYM", "X", "SYM"),
    ],
)
def test_among_words_equally_near_the_root_the_languages_list_decides(fused, lang, first, second, tag):
    assert fused(span(first, second), lang=lang)[0][1] == ("ab", tag)


def test_enhanced_dependencies_count_as_ways_to_the_root(fused):
    # `a` has the ancestors x and root; with the enhanced head y it has y too, so `b` is nearer.
    assert fused(span("NOUN", "DET"))[0][1] == ("ab", "NOUN")
    assert fused(span("NOUN", "DET", deps=("1:obj|4:nsubj", "8.1:x|1:det")))[0][1] == ("ab", "DET")
    # A circle of two words: each is the other's ancestor.
    assert fused(span("DET", "NOUN", deps=("3:det", "2:obj")))[0][1] == ("ab", "NOUN")


def test_zero_width_non_joiners_and_spaces_inside_words_are_removed(fused):
    assert fused(plain("10 000/NUM", "mi\u200cravam/VERB", "a\u200db/X")) == [
        [("10000", "NUM"), ("miravam", "VERB"), ("a\u200db", "X")]
    ]


def test_sentences_that_are_masked_but_for_a_word_are_dropped_and_an_underscore_is_a_word(fused):
    sentences = [plain("_/DET", "_/NOUN"), plain("Le/DET", "_/NOUN", "_/VERB"), plain("_/SYM"), plain("Oui/INTJ")]
    kept = [plain("a/X", "_/PUNCT", "b/X"), plain("a/X", "_/PUNCT", "_/PUNCT", "b/X", "_/X")]
    assert [[token for token, _ in sentence] for sentence in fused(*sentences, *kept)] == [
        ["Oui"],
        ["a", "_", "b"],
        ["a", "_", "_", "b", "_"],
    ]


# --- which files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def release(tmp_path):
    """A folder in the layout of the unpacked release, with an empty mirror beside it."""

    def write(treebank, code, split, *sentences):
        folder = tmp_path / RELEASE / f"UD_{treebank}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{code}-ud-{split}.conllu").write_text(conllu(*sentences), encoding="utf-8")

    write.place = DataPlace(data_dir=tmp_path, offline=True)
    return write


def load(release, lang, split="test", task="udpos"):
    return load_examples(catalog().task(task).spec, split=split, langs=[lang], place=release.place)


def first_words(release, lang, split="test"):
    return [example.tokens[0] for example in load(release, lang, split).examples]


def test_files_are_chosen_by_the_code_of_their_names_not_by_the_name_of_the_language(release):
    for treebank, code in (("German-PUD", "de_pud"), ("Swiss_German-UZH", "gsw_uzh"), ("German-GSD", "de_gsd")):
        release(treebank, code, "test", plain(f"{code}/X"))
    release("Ancient_Greek-PROIEL", "grc_proiel", "test", plain("grc/X"))
    release("Greek-GDT", "el_gdt", "test", plain("el/X"))
    assert first_words(release, "de") == ["de_gsd", "de_pud"]
    assert first_words(release, "el") == ["el"]


def test_treebanks_are_read_in_the_order_of_their_file_names_and_splits_do_not_mix(release):
    # By folder UD_English-PUD would come before UD_English-ParTUT.
    for treebank, code in (("English-ParTUT", "en_partut"), ("English-PUD", "en_pud"), ("English-EWT", "en_ewt")):
        for split in ("train", "dev", "test"):
            release(treebank, code, split, plain(f"{code}-{split}/X"))
    assert first_words(release, "en") == ["en_ewt-test", "en_partut-test", "en_pud-test"]
    assert first_words(release, "en", "validation") == ["en_ewt-dev", "en_partut-dev", "en_pud-dev"]
    assert first_words(release, "en", "train") == ["en_ewt-train", "en_partut-train", "en_pud-train"]


def test_the_task_has_fused_tokens(release):
    release("German-GSD", "de_gsd", "test", span("ADP", "DET"))
    (example,) = load(release, "de").examples
    assert (example.tokens, example.gold) == (("x", "ab", "y"), ["VERB", "ADP", "NOUN"])


def test_the_fingerprint_covers_every_treebank_of_the_language(release):
    release("German-GSD", "de_gsd", "test", plain("a/X"))
    prints = [load(release, "de").fingerprint]
    release("German-PUD", "de_pud", "test", plain("b/X"))
    prints.append(load(release, "de").fingerprint)
    release("German-PUD", "de_pud", "test", plain("c/X"))
    prints.append(load(release, "de").fingerprint)
    assert len(set(prints)) == 3
    assert prints[-1] == data_fingerprint(catalog().task("udpos").spec, split="test", langs=["de"], place=release.place)


def test_groups_hold_one_of_the_two_tasks_each():
    for name in ("tagging", "xtreme"):
        tasks = catalog().select(name)
        assert "udpos" in tasks
        assert catalog().select(f"{name}_hub") == [task.replace("udpos", "udpos_hub") for task in tasks]


def test_missing_files_name_the_archive_the_place_and_the_other_task(release, tmp_path, capsys):
    with pytest.raises(MissingData) as error:
        load(release, "fi")
    for text in (
        "task 'udpos' has no data for language 'fi'",
        str(tmp_path / RELEASE / "UD_*" / "fi_*-ud-test.conllu"),
        "to do: unpack ud-treebanks-v2.5.tgz (http://hdl.handle.net/11234/1-3105) inside the folder given as --data_dir",
        f"{RELEASE}/UD_English-EWT/en_ewt-ud-train.conllu",
        "udpos_hub",
    ):
        assert text in str(error.value)
    words = ["--tasks", "udpos", "--languages", "fi", "--data_dir", str(tmp_path)]
    assert run_eval.main(["plan", "--model", "oracle", *words]) == 1
    assert "to do: unpack ud-treebanks-v2.5.tgz" in capsys.readouterr().out
    assert run_eval.main(["fetch", *words]) == 1
    assert "to do: unpack ud-treebanks-v2.5.tgz" in capsys.readouterr().out


# --- real treebanks --------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(shared):
    return shared / "raw" / "conllu"


def rows(path, lang, reader="ud_fused"):
    return [(row["tokens"], row["tags"]) for row in READERS.load(reader).read({"rows": path}, lang=lang, options={})]


# Sentences, tokens, and a digest of tokens and tags, of what XTREME's conllu_to_conll.py (with networkx 1.11) and
# utils_preprocess.py at commit 838c13b make of these files.
OFFICIAL = [
    ("UD_English-EWT/en_ewt-ud-dev.conllu", 2001, 24787, "94624d586556d56b"),
    ("UD_Marathi-UFAL/mr_ufal-ud-train.conllu", 373, 2730, "249b941aa880d01b"),
    ("UD_Marathi-UFAL/mr_ufal-ud-dev.conllu", 46, 400, "62f9b7f1fffed2b6"),
    ("UD_Marathi-UFAL/mr_ufal-ud-test.conllu", 47, 376, "53392d2292144d46"),
]


@pytest.mark.real
@pytest.mark.parametrize(("name", "num_sentences", "num_tokens", "digest"), OFFICIAL)
def test_tokens_and_tags_are_those_of_xtremes_own_scripts(raw, name, num_sentences, num_tokens, digest):
    found = rows(raw / name, name.rsplit("/", 1)[1][:2])
    assert (len(found), sum(len(tokens) for tokens, _ in found)) == (num_sentences, num_tokens)
    text = "\n\n".join("\n".join(f"{token}\t{tag}" for token, tag in zip(*sentence, strict=True)) for sentence in found)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


@pytest.mark.real
def test_english_dev_rows_of_a_later_release_are_mostly_those_of_xtremes_file(shared, raw):
    reader = READERS.load("token_tsv")
    xtreme = {tuple(row["tokens"]) for row in reader.read({"rows": shared / "raw/udpos/dev-en.tsv"}, lang="en", options={})}
    path = raw / "UD_English-EWT" / "en_ewt-ud-dev.conllu"
    # The later release joins "do" and "n't" under one surface form; UD 2.5 had no multiword tokens in this treebank.
    assert sum(tuple(tokens) in xtreme for tokens, _ in rows(path, "en")) == 1699
    assert sum(tuple(tokens) in xtreme for tokens, _ in rows(path, "en", "conllu")) == 1995


@pytest.mark.real
def test_marathi_is_the_xtreme_data_and_the_board_tells_the_two_tasks_apart(shared, raw, tmp_path, capsys):
    (tmp_path / RELEASE).mkdir()
    (tmp_path / RELEASE / "UD_Marathi-UFAL").symlink_to(raw / "UD_Marathi-UFAL")
    (tmp_path / "google").symlink_to(shared / "hub" / "google")
    place = DataPlace(data_dir=tmp_path, offline=True)
    specs = [catalog().task(name).spec for name in ("udpos", "udpos_hub")]
    for split in ("validation", "test"):
        one, other = (load_examples(spec, split=split, langs=["mr"], place=place) for spec in specs)
        assert [e.tokens for e in one.examples] == [e.tokens for e in other.examples]
        tags = [(a, b) for x, y in zip(one.examples, other.examples, strict=True) for a, b in zip(x.gold, y.gold, strict=True)]
        assert sum(a != b for a, b in tags) == {"validation": 6, "test": 2}[split]  # the raw files are a later release
        assert one.fingerprint != other.fingerprint
    words = f"--model oracle --tasks udpos,udpos_hub --languages mr --data_dir {tmp_path} --output_path {tmp_path / 'runs'}"
    assert run_eval.main([*words.split(), "--quiet"]) == 0, capsys.readouterr().err
    board = json.loads((tmp_path / "runs" / "leaderboard.json").read_text(encoding="utf-8"))
    assert {entry["task"]: entry["score"]["value"] for entry in board["task_scores"]} == {"udpos": 100, "udpos_hub": 100}
    prints = {name: stage["data"]["data"] for name, stage in board["stages"].items() if name.startswith("predict/")}
    assert len(prints) == len(set(prints.values())) == 2
