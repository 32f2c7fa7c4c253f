"""The parts of prompts: token boundaries, examples before a question, answers read back, and mistakes in what a task says."""

import dataclasses
import re
from collections import Counter

import pytest
from small_tasks import pairs, write
from small_tokenizers import KINDS

from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.task_types.prompting.answer_parsing import choose
from harness.task_types.prompting.answer_spans import found_in
from harness.task_types.prompting.encoding import Ask, encode_pairs, plan_requests
from harness.task_types.prompting.few_shot import ShotPool, draw_shots
from harness.task_types.prompting.rendering import render_chat
from harness.task_types.prompting.tag_text import entities_text, read_entities, read_word_tags, word_tags_text


def rows(spec, split, lang, limit):
    return load_examples(spec, split=split, langs=[lang], place=DataPlace.resolve(None), limit=limit).examples


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("context", "continuations"),
    [
        ("the cat sat on", [" the mat", " far away"]),
        ("the cat sat on  ", ["the mat", "home"]),  # the spaces belong to what follows
        ("who wrote the bo", ["ok of one", "th", " cat"]),  # a token may span the two
        ("", ["the dog ran", "anna"]),
        (" \n", ["the dog ran", "anna"]),
    ],
)
def test_context_and_continuation_are_encoded_together(kind, context, continuations):
    tokenizer = KINDS[kind]()
    (found,) = encode_pairs([Ask(context, continuations)], tokenizer=tokenizer, max_length=100)
    before = [token for token in found.context if token in tokenizer.all_special_ids and token != tokenizer.unk_token_id]
    assert found.context[: len(before)] == before
    assert found.context
    for continuation, ids in zip(continuations, found.continuations, strict=True):
        whole = tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
        assert [*found.context[len(before) :], *ids] == whole
        assert ids
    plain = tokenizer(context.rstrip(), add_special_tokens=False)["input_ids"]
    assert found.context[len(before) :] == plain[: len(found.context) - len(before)]
    if kind == "byte_bpe" and context.endswith("bo"):
        assert len(found.context) < len(plain)  # cut back to where all continuations agree
    (like,) = encode_pairs([Ask(context, continuations)], tokenizer=tokenizer, max_length=100, by_length=True)
    assert like.context[-len(plain) :] == plain or not plain
    assert found.num_truncated == 0


def test_a_context_without_tokens_is_the_first_token_else_the_last():
    for kind, wanted in (("byte_bpe", "</s>"), ("t5_like", "<s>"), ("unigram", "<s>")):
        tokenizer = KINDS[kind]()
        (found,) = encode_pairs([Ask("", ["the dog"])], tokenizer=tokenizer, max_length=100)
        assert tokenizer.convert_ids_to_tokens(found.context) == [wanted]
    (found,) = encode_pairs([Ask("the", [""])], tokenizer=tokenizer, max_length=100)
    assert found.continuations == [[]]


def test_long_contexts_lose_their_beginning_but_not_their_first_token():
    tokenizer = KINDS["word_level"]()
    words = "the cat sat on the mat and the dog ran"
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    (found,) = encode_pairs([Ask(words, [" far", " far away home"])], tokenizer=tokenizer, max_length=8)
    assert found.context == [tokenizer.bos_token_id, *ids[-5:]]  # 6 tokens, and 2 of the 3 that follow go into the model
    assert found.num_truncated == 5
    (found,) = encode_pairs([Ask(words, (), room=3)], tokenizer=tokenizer, max_length=8)
    assert found.context == [tokenizer.bos_token_id, *ids[-4:]]
    with pytest.raises(UserError, match="no room"):
        encode_pairs([Ask(words, (), room=8)], tokenizer=tokenizer, max_length=8)
    (found,) = encode_pairs([Ask("the", [" cat" * 20])], tokenizer=tokenizer, max_length=8)
    assert (len(found.context), len(found.continuations[0]), found.num_truncated) == (1, 8, 13)


def test_runs_of_requests_are_neighbours():
    assert plan_requests([5, 5, 9, 2, 30, 1], max_tokens=10, passes=1) == [[0, 1], [2], [3], [4], [5]]
    assert plan_requests([], max_tokens=10) == []


def test_examples_are_drawn_for_each_question_by_itself():
    spec, module = Catalog().task("mini/mnli").spec, TASK_TYPES.load("classification")
    pool = rows(spec, "train", "en", 60)

    def draw(example, seed=0, k=4, among=pool):
        return draw_shots(ShotPool(among), example, k=k, module=module, task="mnli", seed=seed)

    one, two = rows(spec, "test", "en", 2)
    assert [shot.id for shot in draw(one)] == [shot.id for shot in draw(dataclasses.replace(one, lang="de", text="anders"))]
    assert draw(one) != draw(two)
    assert draw(one) != draw(one, seed=1)
    assert draw(one, k=2) != draw(one)
    assert len({shot.id for shot in draw(one)}) == 4
    assert all(draw(example, k=55) and example not in draw(example, k=55) for example in pool[:3])
    assert draw(one, k=0, among=[]) == []
    with pytest.raises(UserError, match="not enough examples"):
        draw(pool[0], k=3, among=pool[:3])


def test_a_stratified_draw_has_as_many_of_each_label_or_one_more():
    spec, module = Catalog().task("mini/mnli").spec, TASK_TYPES.load("classification")
    pool = ShotPool(rows(spec, "train", "en", 90), by_label=True)
    firsts, extra = Counter(), Counter()
    for example in rows(spec, "test", "en", 30):
        for k in (3, 6, 7):
            shots = draw_shots(pool, example, k=k, module=module, task="mnli", seed=0)
            counts = Counter(shot.gold for shot in shots)
            assert len({shot.id for shot in shots}) == k
            assert set(counts) == set(spec.labels)
            assert max(counts.values()) - min(counts.values()) == (k % 3 > 0)
        firsts[shots[0].gold] += 1
        extra[counts.most_common(1)[0][0]] += 1
    assert set(firsts) == set(extra) == set(spec.labels)  # neither place nor plenty says what is right
    again = ShotPool(list(pool.examples), by_label=True)
    assert draw_shots(again, example, k=7, module=module, task="mnli", seed=0) == shots
    assert draw_shots(pool, example, k=7, module=module, task="mnli", seed=1) != shots
    one_label = ShotPool([example for example in pool.examples if example.gold == spec.labels[0]][:2], by_label=True)
    with pytest.raises(UserError, match="not enough examples"):
        draw_shots(one_label, example, k=3, module=module, task="mnli", seed=0)


def test_likelihoods_are_normalised_as_asked():
    scored, sizes = [[-6.0, 2, 0.0], [-8.0, 8, 0.0], [-7.0, 7, 1.0]], [[4, 4], [10, 16], [8, 16]]
    pick = lambda normalise: choose(scored, sizes, labels=["a", "b", "c"], normalise=normalise).prediction  # noqa: E731
    assert {name: pick(name) for name in ("sum", "per_token", "per_character", "per_byte")} == {
        "sum": "a",
        "per_token": "b",  # equal to c: the first
        "per_character": "b",
        "per_byte": "c",
    }
    empty = choose([[0.0, 0, 1.0], [-9.0, 1, 0.0]], [[0, 0], [1, 1]], labels=["a", "b"], normalise="sum")
    assert empty.prediction == "b"
    assert empty.scores == (None, -9.0)
    assert choose([[0.0, 0, 1.0]], [[0, 0]], labels=["a"], normalise="sum") == (None, ("unparsed",), None)


def test_answers_are_found_in_the_context():
    context = "In  the\nKREMLIN (Moscow) a \ufb01re burned; das Stra\u00dfenfest."
    for answer, wanted in {
        "Moscow": "Moscow",
        "the kremlin.": "the\nKREMLIN",
        "\u201ca fire\u201d": "a \ufb01re",
        "STRASSENFEST": "Stra\u00dfenfest",
        "Kazan": None,
        "...": None,
    }.items():
        assert found_in(answer, context) == wanted


def test_entities_go_to_text_and_back():
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    tokens = ["Ada", "Lovelace", "and", "Ada", "in", "\u5317", "\u4eac", "."]
    tags = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O"]
    text = entities_text(tokens, tags, nothing="none")
    assert text == "PER: Ada Lovelace $$ PER: Ada $$ LOC: \u5317 \u4eac"
    read = lambda text: read_entities(text, tokens, labels=labels, nothing="none")  # noqa: E731
    assert read(text) == (tags, ())
    assert read(" per: ada lovelace $$LOC:\u5317\u4eac ") == ([*tags[:3], "O", *tags[4:]], ())
    assert read("none") == (["O"] * 8, ())
    assert read("PER: Grace $$ LOC: \u5317\u4eac") == (["O"] * 5 + ["B-LOC", "I-LOC", "O"], ("not_in_context",))
    assert read("PER: Ada $$ who knows $$ THING: and") == (["B-PER", *["O"] * 7], ("partly_unparsed",))
    assert read("I cannot say.") == read("") == (None, ("unparsed",))
    assert entities_text(["a"], ["O"], nothing="none") == "none"
    assert entities_text(["a", "b"], ["I-PER", "B-PER"], nothing="") == "PER: a $$ PER: b"


def test_word_tags_go_to_text_and_back():
    labels = ["NOUN", "PROPN", "VERB", "PUNCT", "X"]
    tokens, tags = ["nh\u00e0 m\u00e1y", "sees", "snake_case", "."], ["NOUN", "VERB", "PROPN", "PUNCT"]
    text = word_tags_text(tokens, tags)
    read = lambda text: read_word_tags(text, tokens, labels=labels)  # noqa: E731
    assert read(text) == (tags, ())
    assert read("nh\u00e0 m\u00e1y_NOUN SEES_VERB snake_case_PROPN ._PUNCT") == (tags, ())  # as many words: one by one
    assert read("sees_VERB ._PUNCT") == (["X", "VERB", "X", "PUNCT"], ("partly_unparsed",))
    assert read(text + " and so on") == (tags, ("partly_unparsed",))
    assert read("no tags at all") == (None, ("unparsed",))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"context": "{{ txt }}", "continuations": {"no": "n", "yes": "y"}}, r"no field 'txt'[\s\S]*did you mean 'text'"),
        ({"context": "{{ gold }}", "continuations": {"no": "n", "yes": "y"}}, "no field 'gold'"),
        ({"context": "{{ text", "continuations": {"no": "n", "yes": "y"}}, "prompt.context.* is not Jinja2"),
        ({"context": "c", "continuations": {"no": "n"}}, r"not one for each label[\s\S]*expected: no, yes"),
        ({"context": "c", "continuations": {"no": "n", "yes": "n"}}, r"same continuation[\s\S]*found: no and yes: 'n'"),
        ({"context": "c"}, "exactly one of 'continuations' and 'generate'"),
        ({"context": "c", "generate": {}}, "chooses among continuations"),
        ({"context": "c", "continuations": {"template": "{{ item }}", "each": "optoins"}}, "no field 'optoins'"),
        ({"context": "c", "continuations": {"no": "n", "yes": "y"}, "languages": {"xx": {}}}, "unknown language 'xx'"),
        ({"context": "c", "continuations": {"no": "n", "yes": "y"}, "normalise": "per_word"}, "per_token"),
        ({"context": "c", "continuations": {"no": "n", "yes": "y"}, "chat": {"contxt": "d"}}, "did you mean 'context'"),
    ],
)
def test_mistakes_in_prompts_are_named_where_they_stand(tmp_path, prompt, message):
    path = write(tmp_path, pairs("ours", prompt=prompt))
    with pytest.raises(UserError, match=message) as caught:
        Catalog([path]).task("ours")
    assert re.search(r"ours\.yaml:\d+ prompt", str(caught.value))


def test_types_that_are_not_asked_in_words_have_no_prompt(tmp_path):
    spec = {
        **pairs("ours"),
        "type": "retrieval",
        "fields": {"source": "a", "target": "a"},
        "labels": [],
        "prompt": {"context": "c", "generate": {}},
    }
    path = write(tmp_path, spec)
    with pytest.raises(UserError, match="not asked in words"):
        Catalog([path]).task("ours")


TURNS = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": 'Is "yes" a word?\n  No; or: yes'},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": " And no? "},
)
EACH = "{% for m in messages %}"
WHOLE = {
    "as it is": EACH + "[{{ m.role }}] {{ m.content }}{% endfor %}",
    "trimmed": EACH + "{{ m.content | trim }}|{% endfor %}",
    "as JSON": "{{ messages | tojson }}",
    "system first in the last": "{{ messages[1:-1] | map(attribute='content') | join }}{{ messages[0].content }}"
    "{{ messages[-1].content }}",
}
LOSSY = {
    "nothing": ("system", "Hello"),
    "roles only": ("system", EACH + "[{{ m.role }}]{% endfor %}"),
    "no system message": ("system", EACH + "{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}"),
    "no answers": ("assistant", EACH + "{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}"),
    "another key": ("system", EACH + "{{ m.text }}{% endfor %}"),
    "the last only": ("system", "{{ messages[-1].content }}"),
    "all but the last": ("user", "{% for m in messages[:-1] %}{{ m.content }} {% endfor %}"),
    "cut": ("user", EACH + "{{ m.content[:12] }}{% endfor %}"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_templates_may_write_messages_in_their_own_way(name):
    tokenizer = KINDS["byte_bpe"]()
    tokenizer.chat_template = WHOLE[name]
    assert "Be brief." in render_chat(tokenizer, TURNS, answer=True)
    render_chat(tokenizer, [{"role": "user", "content": ""}], answer=True)  # nothing is left out of nothing


@pytest.mark.parametrize("name", LOSSY)
def test_templates_that_leave_something_out_are_refused(name):
    """The answer "yes" stands in the question as well: that does not hide that the answer is missing."""
    tokenizer = KINDS["byte_bpe"]()
    role, tokenizer.chat_template = LOSSY[name]
    with pytest.raises(UserError, match=f"leaves out what the {role} says"):
        render_chat(tokenizer, TURNS, answer=True)
