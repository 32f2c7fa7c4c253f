import pytest

from harness.data.languages import fill, language, languages, mentions_language
from harness.errors import UserError

PANX = "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
TATOEBA = """
afr af ara ar bul bg ben bn deu de ell el spa es est et eus eu pes fa fin fi fra fr heb he hin hi hun hu ind id ita it jpn ja
jav jv kat ka kaz kk kor ko mal ml mar mr nld nl por pt rus ru swh sw tam ta tel te tha th tgl tl tur tr urd ur vie vi cmn zh
"""


def test_the_table_holds_the_40_languages_of_xtreme():
    assert sorted(languages()) == sorted(PANX.split())
    assert len({row.iso3 for row in languages().values()}) == len({row.name for row in languages().values()}) == 40


def test_codes_of_three_letters_are_those_of_tatoeba():
    codes = TATOEBA.split()
    assert {code: language(code).iso3 for code in codes[1::2]} == dict(zip(codes[1::2], codes[::2]))


def test_word_orders_are_left_out_where_none_dominates():
    orders = {code: row.word_order for code, row in languages().items()}
    assert (orders["en"], orders["tr"], orders["tl"], orders["de"]) == ("SVO", "SOV", "VSO", None)
    assert set(orders.values()) == {"SVO", "SOV", "VSO", None}


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
