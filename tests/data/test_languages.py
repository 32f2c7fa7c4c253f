"""Languages are those of XTREME and XTREME-R under one code each, grouped by what the table and pretraining say of them."""

import pytest

from harness.api.errors import UserError
from harness.data.languages import fill, groups, language, languages, mentions_language, xtreme_languages

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
    assert len({row.iso3 for row in languages().values()}) == len({row.name for row in languages().values()}) == 50


def test_codes_of_three_letters_are_those_of_tatoeba():
    codes = TATOEBA.split()
    assert {code: language(code).iso3 for code in codes[1::2]} == dict(zip(codes[1::2], codes[::2]))


def test_word_orders_are_left_out_where_none_dominates():
    orders = {code: row.word_order for code, row in languages().items()}
    assert (orders["en"], orders["tr"], orders["tl"], orders["de"]) == ("SVO", "SOV", "VSO", None)
    assert set(orders.values()) == {"SVO", "SOV", "VSO", None}


def test_languages_are_grouped_by_what_the_table_says_of_them():
    assert groups("script", ["ru", "de", "sw", "bg"]) == {"Cyrl": ["ru", "bg"], "Latn": ["de", "sw"]}
    assert list(groups("word_order", ["de", "tr", "en", "ar"])) == ["SOV", "SVO", "VSO", "not recorded"]
    assert groups("family", ["eu", "yo", "sw"]) == {"Niger-Congo": ["yo", "sw"], "isolate": ["eu"]}


def test_languages_are_grouped_by_whether_pretraining_covered_them():
    assert groups("covered", ["yo", "de"], covered=("de",)) == {"covered": ["de"], "not covered": ["yo"]}
    assert groups("covered", ["yo", "de"], covered=()) == {"not covered": ["yo", "de"]}
    assert groups("covered", ["yo", "de"]) == {"not recorded": ["yo", "de"]}


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
