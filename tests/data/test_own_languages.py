"""Languages of the user's own: read with file and line, refused where the shipped table says otherwise, learnt from records."""

import pytest
from own_files import LANGUAGES, forget_own, write_languages

from harness.api.errors import UserError
from harness.data.languages import fill, groups, language, languages, put_own_languages, shipped_languages
from harness.data.own_languages import learn, own_facts, rows_of, twice
from harness.specs.language import LanguageSpec
from harness.specs.loader import read_document

KLINGON = LanguageSpec(iso3="tlh", name="Klingon", family="constructed", script="Latn", order="OVS")


@pytest.fixture(autouse=True)
def _clean():
    forget_own()
    yield
    forget_own()


def read(folder, **rows):
    write_languages(folder, **rows)
    return rows_of(read_document(folder / "languages.yaml"))


def test_languages_of_a_file_stand_beside_the_shipped_ones(tmp_path):
    rows, errors = read(tmp_path, **LANGUAGES)
    put_own_languages(rows, of="files")
    assert errors == []
    assert list(languages())[-2:] == ["qya", "tlh"]
    assert len(languages()) == len(shipped_languages()) + 2
    assert fill("{lang}-{iso3}-{name_lower}", "tlh") == "tlh-tlh-klingon"
    assert groups("family", ["tlh", "de"]) == {"Indo-European": ["de"], "constructed": ["tlh"]}
    assert groups("covered", ["tlh"], covered=("de",)) == {"not recorded": ["tlh"]}


def test_the_files_of_a_command_replace_those_of_the_command_before(tmp_path):
    put_own_languages(read(tmp_path, **LANGUAGES)[0], of="files")
    put_own_languages(read(tmp_path, tlh=LANGUAGES["tlh"])[0], of="files")
    assert language("tlh").word_order == "OVS"
    with pytest.raises(UserError, match="unknown language 'qya'"):
        language("qya")


@pytest.mark.parametrize(
    ("code", "row", "said"),
    [
        ("tlh", "{iso3: tlh, name: Klingon, script: Latn}", "key 'family' is missing"),
        ("tlh", "{iso3: TLH, name: Klingon, family: constructed, script: Latn}", "languages.yaml:1 tlh.iso3: "),
        ("tlh", "{iso3: tlh, name: K, family: c, script: latin}", "languages.yaml:1 tlh.script: "),
        ("tlh", "{iso3: tlh, name: K, family: c, script: Latn, order: SWO}", "languages.yaml:1 tlh.order: "),
        ("tlh", "{iso3: tlh, name: K, family: c, script: Latn, size: 3}", "languages.yaml:1 tlh.size: unknown key 'size'"),
        ("klingon", "{iso3: tlh, name: K, family: c, script: Latn}", "'klingon' is no code of a language"),
        ("und", "{iso3: und, name: K, family: c, script: Latn}", "'und' is no code of a language"),
        ("no", "{iso3: nor, name: Norwegian, family: Indo-European, script: Latn}", "a key must be text"),
        ("sw", "{iso3: swh, name: Swahili, family: Bantu, script: Latn}", "'sw' has another family"),
        ("de", "{iso3: deu, name: German, family: Indo-European, script: Latn, order: SOV}", "'de' has another order"),
        ("kis", "{iso3: swh, name: Kiswahili, family: Niger-Congo, script: Latn}", "write 'sw' in your tasks"),
        ("kis", "{iso3: kis, name: swahili, family: Niger-Congo, script: Latn}", "write 'sw' in your tasks"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_was_expected(tmp_path, code, row, said):
    rows, errors = read(tmp_path, **{code: row})
    assert rows == []
    assert said in "\n".join(map(str, errors))


def test_what_the_table_says_as_well_is_no_mistake_and_changes_nothing(tmp_path):
    before = language("sw")
    rows, errors = read(tmp_path, sw="{iso3: swh, name: Swahili, family: Niger-Congo, script: Latn}")
    put_own_languages(rows, of="files")
    assert errors == []
    assert language("sw") is before
    assert own_facts(["sw"]) == {}


def test_two_files_must_not_tell_of_a_language_in_two_ways(tmp_path):
    known = {row.code: row for row in read(tmp_path, **LANGUAGES)[0]}
    other = read(tmp_path, tlh="{iso3: tlh, name: Klingon, family: alien, script: Latn}")[0]
    assert twice(known.values(), known, where="x") == []
    assert [error.message for error in twice(other, known, where="x")] == ["language 'tlh' is told in two ways"]


def test_a_record_teaches_its_languages_and_a_file_of_the_command_wins(tmp_path):
    learn({"tlh": KLINGON}, where="requests")
    assert (language("tlh").family, own_facts(["tlh", "de"])) == ("constructed", {"tlh": KLINGON})
    put_own_languages(read(tmp_path, tlh="{iso3: tlh, name: Klingon, family: alien, script: Latn}")[0], of="files")
    learn({"tlh": KLINGON}, where="requests")
    assert language("tlh").family == "alien"
    put_own_languages((), of="files")
    assert language("tlh").family == "constructed"


def test_a_record_that_the_shipped_table_contradicts_is_refused():
    with pytest.raises(UserError, match=r"(?s)requests: 'sw' has another family.*run the command again without yours"):
        learn({"sw": LanguageSpec(iso3="swh", name="Swahili", family="Bantu", script="Latn")}, where="requests")
