"""A question that is longer than the window: it is cut and that is counted, the context stays, and nothing is lost unseen."""

import pytest
from small_tokenizers import byte_bpe, word_level

from harness.api.errors import UserError
from harness.api.registry import TASK_TYPES
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.specs.prompt import PromptArgs
from harness.task_types import span_qa
from harness.task_types.prompting.route import PromptRoute

WORDS = [f"w{number}" for number in range(60)]
TASK = Catalog().task("mini/xquad").spec


@pytest.mark.parametrize(("max_length", "max_query_length"), [(12, 64), (12, 3), (6, 64), (40, 500)])
def test_a_head_sees_all_of_the_context_whatever_is_asked(max_length, max_query_length):
    tokenizer = word_level(WORDS)
    context = " ".join(WORDS[:30])
    example = span_qa.Example(
        id="q", lang="en", question=" ".join(WORDS[30:] * 9), context=context, answer_starts=(context.index("w28"),), gold=["w28"]
    )
    options = span_qa.Options(max_length=max_length, max_query_length=max_query_length, doc_stride=5)
    features = span_qa.encode([example], task=TASK, tokenizer=tokenizer, options=options, train=False)
    assert max(len(feature.input_ids) for feature in features) <= max_length
    scored = [start for one in features for start in one.info["starts"][slice(*one.info["scored"])]]
    assert scored == [context.index(f"{word} ") if word != WORDS[29] else len(context) - 3 for word in WORDS[:30]]
    asked = 270 - features[0].num_truncated
    assert 0 < asked <= min(max_query_length, (max_length - 4) // 2)
    outputs = [span_qa.oracle(feature, example, task=TASK, options=options) for feature in features]
    partials = [span_qa.reduce(one, output, task=TASK, options=options) for one, output in zip(features, outputs)]
    (found,) = span_qa.decode([example], features, partials, task=TASK, options=options)
    assert (found.prediction, found.num_truncated) == ("w28", features[0].num_truncated)


def test_a_window_without_room_for_both_is_an_error():
    example = span_qa.Example(id="q", lang="en", question="w1", context="w2", answer_starts=(0,), gold=["w2"])
    with pytest.raises(UserError, match=r"max_length=5 leaves no room[\s\S]*at least 6"):
        span_qa.encode([example], task=TASK, tokenizer=word_level(WORDS), options=span_qa.Options(max_length=5), train=False)


@pytest.mark.parametrize("left", [40, 7])
def test_a_prompt_keeps_its_end_and_counts_what_is_cut(left):
    (row,) = load_examples(TASK, split="test", langs=["de"], place=DataPlace.resolve(None), limit=1).examples
    example = span_qa.Example(
        id="q", lang="de", question="why " * 500, context=row.context, answer_starts=row.answer_starts, gold=row.gold
    )
    tokenizer = byte_bpe(prefix_space=False)
    room = TASK.prompt.generate.max_new_tokens

    def encoded(longest):
        route = PromptRoute(module=TASK_TYPES.load("span_qa"), prompt_args=PromptArgs(max_length=longest), pool=())
        options = route.Options.model_validate(TASK.options)
        (feature,) = route.encode([example], task=TASK, tokenizer=tokenizer, options=options, train=False)
        return feature, route.sent(example, task=TASK, tokenizer=tokenizer)[0].context

    feature, text = encoded(room + left)
    assert len(feature.input_ids) == left
    assert text.endswith(tokenizer.decode(feature.input_ids))
    assert feature.num_truncated == len(tokenizer(text, add_special_tokens=False)["input_ids"]) - len(feature.input_ids)
    with pytest.raises(UserError, match="no room is left for the prompt"):
        encoded(room)
