"""What of a text reaches a model: made-up tokenizers, English words, ids beyond the table, and the counts that a cell keeps."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from small_models import make_folder
from small_runs import Project
from small_task_types import TYPES, examples_of
from small_tokenizers import KINDS, byte_bpe, unigram, word_level, word_piece
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from harness.api.errors import UserError
from harness.api.protocols import Feature, ModelSource
from harness.api.registry import TASK_TYPES
from harness.prediction.vocabulary import check_english, check_ids, count_tokens
from harness.task_types.tokens.sequences import unknown_id
from models.encoder import load, train_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
FIVE = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.BPE({"<unk>": 0, "<pad>": 1}, [])), unk_token="<unk>", pad_token="<pad>"
)
"It has no word, and drops what it does not know."


def english(*texts):
    _, examples = examples_of("classification", [{"text": text, "label": "neutral"} for text in texts])
    return [
        type(example)(**{name: getattr(example, name) for name in example.__slots__} | {"lang": "en"}) for example in examples
    ]


def refuses(examples, tokenizer, *, kind="classification"):
    """What the refusal has found; None where there is none."""
    with contextlib.suppress(UserError):
        check_english(examples, kind=TYPES[kind], tokenizer=tokenizer, where="here")
        return None
    with pytest.raises(UserError, match="does not know most English words") as caught:
        check_english(examples, kind=TYPES[kind], tokenizer=tokenizer, where="here")
    return caught.value.found


def test_over_half_of_the_english_words_must_be_known():
    tokenizer = word_level(["the", "cat"])
    assert refuses(english("the dog", "a cat."), tokenizer) is None  # 2 of 4; marks are no words
    assert refuses(english("the dog", "a cow!"), tokenizer) == "3 of 4 words: dog, a, cow"
    assert refuses(english("the the the dog a cow"), tokenizer) is None  # each as often as it comes
    assert refuses(english("1 2 3", ""), tokenizer) is None


@pytest.mark.parametrize("kind", KINDS)
def test_tokenizers_know_what_they_were_made_of(kind):
    assert refuses(english("the cat sat on the mat and the dog ran far away home"), KINDS[kind]()) is None


def test_a_tokenizer_that_drops_words_knows_none_of_them():
    assert refuses(english("the cat"), FIVE) == "2 of 2 words: the, cat"
    assert refuses(english("zebra quagga"), byte_bpe(prefix_space=False)) is None  # bytes know everything


def test_other_languages_may_be_unknown_but_not_the_english_side_of_a_pair():
    tokenizer = word_level(["the", "cat"])
    _, german = examples_of("classification", [{"text": "der Hund lief", "label": "neutral"}])
    assert german[0].lang == "de"
    assert refuses(german, tokenizer) is None
    _, pairs = examples_of("retrieval", [{"source": "die Katze", "target": "the cat"}])
    assert refuses(pairs, tokenizer, kind="retrieval") is None
    _, pairs = examples_of("retrieval", [{"source": "the cat", "target": "one bird"}])
    assert refuses(pairs, tokenizer, kind="retrieval") == "2 of 2 words: one, bird"


def test_the_unknown_token_is_what_the_vocabulary_says_it_is():
    assert [unknown_id(tokenizer) for tokenizer in (word_level(), word_piece(), unigram())] == [3, 3, 3]
    named = byte_bpe(prefix_space=False)
    named.unk_token = "</s>"  # as GPT-2's and SmolLM2's do
    assert unknown_id(named) is None


def test_counts_of_a_cell_leave_out_special_tokens_and_the_english_side():
    tokenizer = word_level(["the", "cat", "die"])
    task, pairs = examples_of(
        "retrieval", [{"source": "die Katze schlief", "target": "the bird"}, {"source": "", "target": "the cat"}]
    )
    module = TYPES["retrieval"]
    features = module.encode(pairs, task=task, tokenizer=tokenizer, options=module.Options(), train=False)
    counts = count_tokens(features, pairs, kind=module, tokenizer=tokenizer)
    assert counts == (3, 2, 1)
    mining = TASK_TYPES.load("bitext_mining")
    rows = [{"sources": ["die Katze", "die Katze", "die"], "targets": ["the bird", "bird"], "gold": []}]
    corpora = [mining.build(row, task=task, lang="de", row_id="0") for row in rows]
    features = mining.encode(corpora, task=task, tokenizer=tokenizer, options=mining.Options(), train=False)
    assert len(features) == 4  # equal sentences once
    assert count_tokens(features, corpora, kind=mining, tokenizer=tokenizer) == (3, 1, 0)


def test_continuations_count_and_an_empty_context_with_one_is_no_empty_input():
    tokenizer = word_level(["the", "cat"])
    asked = [Feature(example=0, input_ids=[0], continuations=[[5, 3], [6]]), Feature(example=0, input_ids=[0, 2])]
    examples = english("the cat")
    assert count_tokens(asked, examples, kind=TYPES["classification"], tokenizer=tokenizer) == (3, 1, 1)


def test_ids_lie_within_the_table_of_words():
    tokenizer = word_level(["the", "cat"])
    tokenizer.add_tokens(["<extra>"])
    known, added = [0, 5, 6, 2], tokenizer("the <extra>")["input_ids"]
    assert added[2] == 7

    def check(*features, num_embeddings=7, also=()):
        check_ids(features, num_embeddings=num_embeddings, tokenizer=tokenizer, where="here", also=also)

    check(Feature(example=0, input_ids=known))  # the table is smaller than the tokenizer: no row needs the last id
    check(Feature(example=0, input_ids=added), num_embeddings=None)
    for feature in (
        Feature(example=0, input_ids=added),
        Feature(example=0, input_ids=known, continuations=[[5], added]),
        Feature(example=0, input_ids=known, labels=[-100, 5, 7, -100]),
    ):
        with pytest.raises(UserError, match=r"ids below 7(.|\n)*id 7 \('<extra>'\)"):
            check(feature)
    with pytest.raises(UserError, match=r"no vector in the model"):
        check(Feature(example=0, input_ids=known), also=[7])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project.make(tmp_path_factory.mktemp("project"), max_steps=1)


def model_with(project, folder, tokenizer):
    """The project's model beside another tokenizer."""
    shutil.copytree(project.model, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return str(folder)


def messages(report):
    assert not report.done
    return {message.splitlines()[0].partition(": ")[2] for _, message in report.failed}


def test_a_run_refuses_a_model_without_a_tokenizer_of_its_own(project, tmp_path):
    def run(name, tokenizer, tasks="nearest", **request):
        model = model_with(project, tmp_path / name, tokenizer)
        return project.run(tmp_path / f"runs-{name}", tasks=tasks, model=model, **request)

    with pytest.raises(UserError, match="no tokenizer: its vocabulary is not here"):  # the plan finds out
        run("bare", None)
    other = train_tokenizer(["quagga"], vocab_size=6)
    assert messages(run("other", other)) == {"the tokenizer does not know most English words"}
    assert messages(run("other-trains", other, tasks="pairs", languages=("de",))) == {
        "the tokenizer does not know most English words"
    }


def words_of(project):
    """The vocabulary of the project's tokenizer without its special tokens."""
    tokenizer = json.loads((project.model / "tokenizer.json").read_text(encoding="utf-8"))
    return [word for word in tokenizer["model"]["vocab"] if "<" not in word]


def test_a_run_refuses_rows_whose_tokens_the_model_has_no_vectors_for(project, tmp_path):
    smaller = train_tokenizer([word for word in words_of(project) if word != "near"], vocab_size=200)
    smaller.add_tokens(["unused", "near"])
    assert smaller("near")["input_ids"][1] == len(words_of(project)) + 5  # the number of rows
    model = model_with(project, tmp_path / "model", smaller)
    for tasks, no_train in (("nearest", True), ("pairs", False)):
        report = project.run(tmp_path / f"runs-{tasks}", tasks=tasks, model=model, no_train=no_train)
        assert {stage.verb for stage, _ in report.failed} == {"predict" if no_train else "train"}
        assert messages(report) == {"a token has no vector in the model"}


def test_a_cell_says_how_much_of_its_text_the_tokenizer_knew(project, tmp_path):
    """Each of 30 sentences has 8 words, of which 3 are "the" (here "eht")."""

    def facts(name, model):
        report = project.run(tmp_path / name, tasks="nearest", model=model, languages=("de",))
        assert not report.failed, report.failed
        (done,) = (json.loads(path.read_text()) for path in (tmp_path / name).glob("predict/*/done.json"))
        return {key: done.get(key) for key in ("features", "text_tokens", "unknown_tokens", "empty_inputs")}

    fewer = train_tokenizer([word for word in words_of(project) if word != "eht"], vocab_size=200)
    known = {"features": 60, "text_tokens": 240, "unknown_tokens": 0, "empty_inputs": 0}
    assert facts("whole", str(project.model)) == known
    assert facts("fewer", model_with(project, tmp_path / "model", fewer)) == {**known, "unknown_tokens": 90}
    assert facts("oracle", "oracle") == {"features": 60} | dict.fromkeys(["text_tokens", "unknown_tokens", "empty_inputs"])


def open_model(folder, **source):
    return load(ModelSource(path=str(folder), **source), heads={}, device="cpu", seed=1, inference=True)


def test_small_tokenizers_are_the_models_own_or_refused(tmp_path):
    folder = Path(make_folder("xlm-roberta", tmp_path / "model"))
    rows = open_model(folder).num_embeddings
    small = train_tokenizer([" ".join(f"w{n}" for n in range(rows))], vocab_size=rows // 2 - 1)
    half = train_tokenizer([" ".join(f"w{n}" for n in range(rows))], vocab_size=rows // 2 + 1)
    small.save_pretrained(tmp_path / "small")
    half.save_pretrained(tmp_path / "half")
    open_model(folder, tokenizer=str(tmp_path / "half"))
    with pytest.raises(UserError, match=f"at least half as many(.|\n)*found: {rows // 2 - 1} tokens"):
        open_model(folder, tokenizer=str(tmp_path / "small"))
    small.save_pretrained(folder)
    open_model(folder)  # what lies beside the weights is as its authors made it
    open_model(folder, tokenizer=str(folder))


def test_a_tokenizer_of_special_tokens_only_is_none(tmp_path):
    folder = Path(make_folder("xlm-roberta", tmp_path / "model"))
    made_up = word_level(["x"])
    state = json.loads(made_up.backend_tokenizer.to_str())
    del state["model"]["vocab"]["x"]
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(UserError, match=r"the tokenizer has no vocabulary(.|\n)*5 special tokens only"):
        open_model(folder)


def test_a_padding_token_needs_a_vector(tmp_path):
    folder = Path(make_folder("bert", tmp_path / "model"))
    own = word_level(["the"])
    own.add_special_tokens({"pad_token": "<padding>"})
    rows = open_model(folder).num_embeddings
    own.add_tokens([f"more{n}" for n in range(rows)])
    own.add_special_tokens({"pad_token": "<last>"})
    own.save_pretrained(folder)
    with pytest.raises(UserError, match="the padding token has no vector"):
        open_model(folder)
