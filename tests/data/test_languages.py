"""Languages are those of XTREME and XTREME-R under one code each, grouped by what the table and pretraining say of them."""

import re

import pytest

from harness.api.errors import UserError
from harness.data.languages import fill, groups, held, language, languages, mentions_language, xtreme_languages

PANX = "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
XTREME_R = "az gu ht lt pa pl qu ro uk wo"
TATOEBA = """
afr af ara ar bul bg ben bn deu de ell el spa es est et eus eu pes fa fin fi fra fr heb he hin hi hun hu ind id ita it jpn ja
jav jv kat ka kaz kk kor ko mal ml mar mr nld nl por pt rus ru swh sw tam ta tel te tha th tgl tl tur tr urd ur vie vi cmn zh
"""


def test_the_table_holds_the_40_languages_of_xtreme():
    assert sorted(xtreme_languages()) == sorted(PANX.split())


def test_the_table_holds_the_ten_languages_that_xtreme_r_adds():
    assert sorted(code for code, row in languages().items() if row.benchmark == "xtreme_r") == XTREME_R.split()


def test_every_language_has_a_code_of_three_letters_and_a_name_of_its_own():
    rows = [row for row in languages().values() if "_" not in row.code]
    assert len({row.iso3 for row in rows}) == len(rows) > 250
    assert len({row.name for row in languages().values()}) == len(languages())
    assert all(re.fullmatch("[a-z]{2,3}", row.code) and re.fullmatch("[a-z]{3}", row.iso3) and row.family for row in rows)


def test_a_language_in_another_script_is_a_row_of_its_own():
    rows = [row for row in languages().values() if "_" in row.code]
    assert len(rows) > 10
    for row in rows:
        usual = language(row.code.partition("_")[0])
        assert (row.iso3, row.family, row.word_order) == (usual.iso3, usual.family, usual.word_order)
        assert row.code == f"{usual.code}_{row.script}"
        assert row.script != usual.script
    assert groups("script", ["hi", "hi_Latn"]) == {"Deva": ["hi"], "Latn": ["hi_Latn"]}


def test_codes_of_three_letters_are_those_of_tatoeba():
    codes = TATOEBA.split()
    assert {code: language(code).iso3 for code in codes[1::2]} == dict(zip(codes[1::2], codes[::2]))


def test_word_orders_are_left_out_where_none_dominates():
    orders = {code: row.word_order for code, row in languages().items()}
    assert (orders["en"], orders["tr"], orders["tl"], orders["de"]) == ("SVO", "SOV", "VSO", None)
    assert set(orders.values()) == {"SVO", "SOV", "VSO", None}


def test_a_script_that_is_not_recorded_is_none_of_the_groups():
    assert groups("script", ["got", "de"]) == {"Latn": ["de"], "not recorded": ["got"]}


def test_languages_are_grouped_by_what_the_table_says_of_them():
    assert groups("script", ["ru", "de", "sw", "bg"]) == {"Cyrl": ["ru", "bg"], "Latn": ["de", "sw"]}
    assert list(groups("word_order", ["de", "tr", "en", "ar"])) == ["SOV", "SVO", "VSO", "not recorded"]
    assert groups("family", ["eu", "yo", "sw"]) == {"Niger-Congo": ["yo", "sw"], "isolate": ["eu"]}


def test_languages_are_grouped_by_whether_pretraining_covered_them():
    assert groups("covered", ["yo", "de"], covered=("de",)) == {"covered": ["de"], "not covered": ["yo"]}
    assert groups("covered", ["yo", "de"], covered=()) == {"not covered": ["yo", "de"]}
    assert groups("covered", ["yo", "de"]) == {"not recorded": ["yo", "de"]}


def test_of_other_languages_than_the_benchmarks_pretraining_is_known_to_hold_some_and_to_lack_none():
    assert groups("covered", ["am", "ca", "sw"], covered=("ca",)) == {
        "covered": ["ca"],
        "not covered": ["sw"],
        "not recorded": ["am"],
    }
    assert (held("am", ("de",)), held("sw", ("de",)), held("de", ("de",)), held("de", None)) == (None, False, True, None)


def test_unknown_groupings_and_codes_are_errors():
    with pytest.raises(UserError, match="did you mean 'family'"):
        groups("families", ["de"])
    with pytest.raises(UserError, match="unknown language 'q1'"):
        groups("covered", ["q1"], covered=())


@pytest.mark.parametrize(("code", "meant"), [("deu", "de"), ("German", "de"), ("chinese", "zh")])
def test_other_spellings_of_a_language_are_recognised_in_the_error(code, meant):
    with pytest.raises(UserError, match=f"did you mean '{meant}'"):
        language(code)


def test_an_unknown_language_says_where_it_stands_and_where_new_ones_go():
    with pytest.raises(UserError, match=r"(?s)xnli.yaml:7: unknown language 'q1'.*languages.yaml"):
        language("q1", where="xnli.yaml:7")


def test_fill_replaces_every_placeholder():
    assert fill("{lang}/{iso3}-{name}.{name_lower}", "sw") == "sw/swh-Swahili.swahili"
    assert fill("no placeholder", "sw") == "no placeholder"
    assert mentions_language("udpos.{name}")
    assert not mentions_language("tydiqa")


def test_fill_refuses_an_unknown_placeholder():
    with pytest.raises(UserError, match="did you mean 'lang'"):
        fill("XQuAD.{language}", "de")
