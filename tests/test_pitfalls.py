"""What makes XTREME numbers wrong: each known pitfall with the tests that fail when the code falls into it again.

PITFALLS lists all 27 with their tests, wherever they stand; the tests that have no other home are below.
"""

import ast
import json
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_tasks import pairs, write, write_tasks
from small_tokenizers import KINDS

import run_eval
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.scoring.score import score_cell
from harness.task_types import span_qa

TESTS = Path(__file__).parent
NINE = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
TARGETS = (*NINE, "udpos_hub", "pawsx_xtreme")
PITFALLS = {
    1: (
        "the hub's UDPOS is not XTREME's: other treebanks by name, syntactic words, masked sentences",
        "test_udpos::test_files_are_chosen_by_the_code_of_their_names_not_by_the_name_of_the_language",
        "test_udpos::test_the_task_has_fused_tokens",
        "test_udpos::test_a_multiword_token_keeps_its_surface_form_and_the_tag_of_the_word_nearest_the_root",
        "test_udpos::test_sentences_that_are_masked_but_for_a_word_are_dropped_and_an_underscore_is_a_word",
        "test_udpos::test_tokens_and_tags_are_those_of_xtremes_own_scripts",
        "test_udpos::test_marathi_is_the_xtreme_data_and_the_board_tells_the_two_tasks_apart",
    ),
    2: (
        "four UDPOS languages have no development rows",
        "test_pitfalls::test_languages_without_development_rows_block_nothing",
    ),
    3: (
        "the UDPOS score is chunk F1 as of seqeval 0.0.12, not accuracy",
        "test_pitfalls::test_tagging_tasks_are_scored_as_xtreme_scores_them",
        "test_metrics::test_golden_cases_are_met_digit_for_digit",
        "test_metrics::test_mock_submission_of_xtreme",
    ),
    4: (
        "CCONJ and SCONJ are one class under later versions of seqeval, person-other and location-other under its first ones",
        "test_pitfalls::test_tagging_tasks_are_scored_as_xtreme_scores_them",
        "test_metrics::test_golden_cases_are_met_digit_for_digit",
        "test_chunks::test_chunk_f1_cuts_any_tags_as_xtremes_chunker_does",
        "test_chunks::test_entity_f1_counts_what_seqeval_counts",
    ),
    5: (
        "PAN-X: prefixes end at the first colon, double blank lines, tokens of single characters stay",
        "test_readers::test_token_tsv_tolerates_double_blank_lines_and_strips_at_the_first_colon",
        "test_pitfalls::test_tokens_of_the_hubs_panx_are_taken_as_they_are",
    ),
    6: (
        "long sentences are split, never cut off",
        "test_tagging::test_long_sentences_are_split_and_glued",
        "test_tagging::test_xlmr_pieces_leave_room_for_three_special_tokens_as_in_xtreme",
    ),
    7: (
        "words without subwords shift the labels of all that follow",
        "test_tagging::test_words_without_subwords_or_too_long_become_the_unknown_token",
    ),
    8: (
        "readers that skip a header that is not there lose the first example",
        "test_readers::test_tsv_without_header_keeps_the_first_row",
        "test_mirrors::test_both_copies_of_pawsx_give_texts_and_labels_unchanged",
    ),
    9: (
        "label numbers differ between copies of XNLI, ANLI and SNLI",
        "test_label_names::test_class_numbers_take_the_names_of_the_data_whatever_the_order_of_the_task",
        "test_label_names::test_rows_without_a_label_are_dropped_and_counted",
        "test_pitfalls::test_label_numbers_of_the_hubs_inference_sets_mean_what_the_hub_means",
        "test_submission_export::test_files_have_the_official_shapes",
    ),
    10: (
        "CSV quoting loses rows of PAWS-X; its training rows in other languages are translations",
        "test_readers::test_tsv_knows_no_quoting_and_loses_no_row",
        "test_mirrors::test_the_two_copies_of_pawsx_do_not_stand_in_for_each_other",
        "test_pitfalls::test_targets_train_on_english_rows_only",
    ),
    11: (
        "stripped contexts shift the offsets of answers",
        "test_readers::test_squad_json_never_strips_contexts",
        "test_span_qa::test_answers_are_looked_up_again_where_the_offset_is_wrong",
        "test_mirrors::test_every_mirror_runs_with_the_shipped_tasks",
    ),
    12: (
        "answers in scripts without spaces are cut out by characters, not by whitespace words",
        "test_pitfalls::test_an_answer_inside_a_clause_without_spaces_is_cut_out_of_it",
        "test_task_types_real::test_every_xquad_answer_within_the_limits_is_reached",
    ),
    13: (
        "MLQA's normaliser belongs to MLQA, SQuAD's to XQuAD and TyDi QA",
        "test_pitfalls::test_answers_are_normalised_by_the_rules_of_their_task",
        "test_metrics::test_golden_cases_are_met_digit_for_digit",
    ),
    14: (
        "30 subwords are the longest answer, which cuts off more in some scripts: it is counted",
        "test_span_qa::test_answers_out_of_reach_are_noted",
    ),
    15: (
        "after SQuAD v2 the targets still always answer",
        "test_squad_v2::test_tasks_whose_questions_have_answers_always_give_one",
        "test_span_qa::test_without_allow_empty_there_is_always_an_answer",
    ),
    16: (
        "TyDi QA trains on its English rows only",
        "test_pitfalls::test_tydiqa_takes_the_rows_of_a_language_by_their_ids",
        "test_pitfalls::test_targets_train_on_english_rows_only",
        "test_real_data::test_tydiqa_trains_on_english_rows_only",
    ),
    17: (
        "TyDi QA GoldP 1.0 has other rows than 1.1",
        "test_real_data::test_offsets_hold_because_contexts_are_raw",
    ),
    18: (
        "BUCC's threshold comes from development rows or is said to be an oracle's; its pool is the full corpus",
        "test_pitfalls::test_bucc_mines_the_full_corpora",
        "test_mining_thresholds::test_each_half_has_the_threshold_of_the_other",
        "test_mining_thresholds::test_a_half_does_not_see_its_own_gold",
        "test_mining_thresholds::test_a_dev_corpus_that_is_the_test_corpus_does_not_choose_the_threshold",
        "test_mining_commands::test_whole_runs_say_where_the_threshold_comes_from",
    ),
    19: (
        "Tatoeba: layer, pooling, direction, newlines and the order of the labels",
        "test_retrieval::test_retrieval_asks_in_english_and_searches_all_foreign_sentences",
        "test_submission_export::test_positions_follow_the_english_sentences_in_alphabetical_order",
        "test_board_markdown::test_the_page_names_the_pooling_of_embeddings",
        "test_limits::test_a_limit_never_shrinks_a_retrieval_pool",
        "test_pitfalls::test_tatoeba_sentences_end_before_their_newline",
    ),
    20: (
        "retrieval reads the same layer with and without an intermediate task",
        "test_pitfalls::test_both_arms_of_a_lift_read_the_same_layer",
    ),
    21: (
        "an intermediate task that is the target's own training data is another experiment",
        "test_task_files::test_same_task_cells",
        "test_plan::test_cells_that_train_twice_on_the_same_rows_are_marked",
        "test_board::test_rows_means_gap_and_lift_are_the_plain_arithmetic",
    ),
    22: (
        "SQuAD's development rows hold XQuAD's paragraphs and choose nothing",
        "test_task_files::test_tasks_whose_development_rows_are_test_rows_select_nothing",
        "test_squad_v2::test_the_task_scores_the_mean_of_both_bests",
        "test_board_markdown::test_partial_degenerate_truncated_missing_and_overlapping_are_told",
    ),
    23: (
        "a person's: backbones that have seen the tasks.  Presets say so, plan and board print it",
        "test_pitfalls::test_backbones_trained_on_labelled_data_say_so",
        "test_cli::test_plan_prints_the_pitfalls_of_a_preset",
    ),
    24: (
        "runs that learnt nothing are found, reported and not averaged away",
        "test_training_loop::test_a_run_that_learns_nothing_says_so",
        "test_score::test_collapse_onto_one_class_is_seen",
        "test_board_language_groups::test_degenerate_seeds_are_counted_and_those_replaced_are_named",
    ),
    25: (
        "a person's: scale is compared within a family and over languages that were pretrained on; the board can be cut so",
        "test_board_language_groups::test_cuts_are_means_over_the_languages_of_a_group_without_english",
        "test_board_language_groups::test_several_backbones_are_told_apart_by_more_than_size",
        "test_encoder_presets::test_ladders_of_sizes_share_their_pretraining",
    ),
    26: (
        "a lift is paired: same seeds, same examples",
        "test_board::test_lift_is_paired",
        "test_board::test_a_lift_that_cannot_be_had_says_why",
        "test_board::test_another_recipe_is_another_line_and_no_baseline",
    ),
    27: (
        "averages: EM and F1 meet in a task's score only, the overall needs all tasks",
        "test_pitfalls::test_question_answering_scores_are_the_mean_of_both_measures",
        "test_board::test_groups_have_a_number_only_when_complete",
        "test_submission::test_only_complete_tasks_make_a_category",
    ),
}


@cache
def functions(stem: str) -> frozenset[str]:
    """Names of the test functions of a file."""
    (path,) = TESTS.rglob(f"{stem}.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_all_are_listed():
    assert list(PITFALLS) == list(range(1, 28))


@pytest.mark.parametrize("number", PITFALLS)
def test_every_pitfall_has_tests_that_exist(number):
    _, *tests = PITFALLS[number]
    assert tests
    missing = [name for name in tests if name.split("::")[1] not in functions(name.split("::")[0])]
    assert missing == []


# --- tests without another home --------------------------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path):
    """Writes a split of a hub dataset; numbers of `classes` get their names as on the hub."""

    def write_split(hub, config, split, rows, classes=None):
        path = tmp_path / hub / config / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows)
        if classes:
            info = {"info": {"features": {"label": {"names": classes, "_type": "ClassLabel"}}}}
            table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
        pq.write_table(table, path)

    write_split.place = DataPlace(data_dir=tmp_path, offline=True)
    return write_split


@cache
def catalog():
    return Catalog()


def spec_of(name):
    return catalog().task(name).spec


def examples(mirror, task, split="test", lang="en"):
    return load_examples(spec_of(task), split=split, langs=[lang], place=mirror.place).examples


@pytest.mark.parametrize("task", ["udpos", "udpos_hub"])
def test_languages_without_development_rows_block_nothing(mirror, tmp_path, task, capsys):
    here = write_tasks(tmp_path)
    lines = "1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n\n"
    files = {"English-EWT/en_ewt": ("train", "dev", "test"), "Thai-PUD/th_pud": ("test",), "Kazakh-KTB/kk_ktb": ("train", "test")}
    for place, splits in files.items():
        for split in splits:
            path = tmp_path / "ud-treebanks-v2.5" / f"UD_{place}-ud-{split}.conllu"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines)
    rows = [{"tokens": ["a"], "pos_tags": [16]}]
    for config, splits in (("English", ("train", "validation", "test")), ("Thai", ("test",)), ("Kazakh", ("train", "test"))):
        for split in splits:
            mirror("google/xtreme", f"udpos.{config}", split, rows)
    words = f"plan --model {here / 'model'} --recipe short --include_path {here} --tasks {task} --languages th,kk,en"
    assert run_eval.main([*words.split(), "--data_dir", str(tmp_path)]) == 0, capsys.readouterr().out


def scored(task, prediction, gold, lang="en"):
    """Score and metrics of one example by the shipped task's own metrics."""
    spec = spec_of(task)
    line = {"id": "0", "prediction": prediction, "gold": gold, "notes": [], "num_truncated": 0}
    metrics = [use.metric for use in spec.metrics]
    cell = score_cell([line], metrics=metrics, score=list(spec.score), lang=lang, num_expected=1)
    return cell.score.value, {key: metric.value for key, metric in cell.metrics.items()}


def test_tagging_tasks_are_scored_as_xtreme_scores_them():
    predicted, gold = ["NOUN", "NOUN", "CCONJ", "VERB"], ["NOUN", "ADJ", "SCONJ", "VERB"]
    for task in ("udpos", "udpos_hub"):
        score, metrics = scored(task, predicted, gold)
        # One of three predicted chunks (NOUN NOUN, CCONJ, VERB) is one of the four there are.
        assert score == metrics["chunk_f1.f1"] == pytest.approx(2 / 7 * 100)
        assert metrics["token_accuracy.accuracy"] == 50
    score, _ = scored("panx", ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "I-PER", "O", "B-ORG"])
    assert score == 50


def test_tokens_of_the_hubs_panx_are_taken_as_they_are(mirror):
    tokens = [":", "th:a", "\u0e01", "\u0e32", "12:30"]
    mirror("google/xtreme", "PAN-X.th", "test", [{"tokens": tokens, "ner_tags": [0, 1, 2, 0, 0], "langs": ["th"] * 5}])
    (example,) = examples(mirror, "panx", lang="th")
    assert list(example.tokens) == tokens
    assert example.gold == ["O", "B-PER", "I-PER", "O", "O"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("task", "split"), [("xnli", "test"), ("xnli", "validation"), ("mnli", "train"), ("anli_plus", "train")])
def test_label_numbers_of_the_hubs_inference_sets_mean_what_the_hub_means(mirror, task, split, named):
    names = ["entailment", "neutral", "contradiction"]
    rows = [{"premise": str(label), "hypothesis": "h", "label": label} for label in (0, 1, 2, -1)]
    for source in getattr(spec_of(task).data, split):
        config = source.config.replace("{lang}", "en")
        mirror(source.hub, config, source.split, rows, names if named else None)
    found = examples(mirror, task, split)
    assert {example.text: example.gold for example in found} == dict(zip("012", names, strict=True))


@pytest.mark.parametrize("name", TARGETS)
def test_targets_train_on_english_rows_only(name):
    spec = spec_of(name)
    spec = spec_of(spec.train_on) if spec.train_on else spec
    if name in ("bucc2018", "tatoeba"):
        assert not spec.data.train
        return
    assert spec.train_languages == ("en",)
    for source in spec.data.train:
        # Either the whole dataset is English, or a placeholder picks the English rows.
        files = [str(name) for name in (source.files or {}).values()]
        texts = [source.config, source.split, *files, *(str(test.equals or test.prefix) for test in source.where)]
        assert any("{" in text for text in texts) or spec.languages == ("en",)


def test_tydiqa_takes_the_rows_of_a_language_by_their_ids(mirror):
    answers = {"text": ["b"], "answer_start": [2]}
    ids = ["english-1-0", "finnish-2-0", "arabic-english-3", "english-4-1", "swahili-5-0"]
    rows = [{"id": id_, "question": "q", "context": "a b", "answers": answers} for id_ in ids]
    for split in ("train", "validation"):
        mirror("google/xtreme", "tydiqa", split, rows)
    assert [example.id for example in examples(mirror, "tydiqa", "train")] == ["english-1-0", "english-4-1"]
    assert [example.id for example in examples(mirror, "tydiqa", lang="fi")] == ["finnish-2-0"]


@pytest.mark.parametrize(
    ("lang", "prediction", "gold", "mlqa", "squad"),
    [
        ("de", "der Hund", "Hund", (100, 100), (0, 66.67)),
        ("zh", "\u5929\u6c23\u5f88\u597d", "\u5929\u6c23\u597d", (0, 85.71), (0, 0)),
        ("hi", "\u092d\u093e\u0930\u0924\u0964", "\u092d\u093e\u0930\u0924", (100, 100), (0, 0)),
    ],
)
def test_answers_are_normalised_by_the_rules_of_their_task(lang, prediction, gold, mlqa, squad):
    for task, expected in (("mlqa", mlqa), ("xquad", squad), ("tydiqa", squad)):
        _, metrics = scored(task, prediction, [gold], lang)
        assert tuple(metrics.values()) == pytest.approx(expected, abs=0.01), task


@pytest.mark.parametrize("kind", ["unigram", "byte_bpe"])
def test_an_answer_inside_a_clause_without_spaces_is_cut_out_of_it(mirror, kind):
    context = "\u4ed6\u5728\u5317\u4eac\u5927\u5b66\u5de5\u4f5c\uff0c\u5f88\u597d\u3002"
    answer = context[2:6]
    rows = [{"id": "q", "question": "?", "context": context, "answers": {"text": [answer], "answer_start": [2]}}]
    mirror("google/xtreme", "XQuAD.zh", "validation", rows)
    found, spec, options = examples(mirror, "xquad", lang="zh"), spec_of("xquad"), span_qa.Options()
    features = span_qa.encode(found, task=spec, tokenizer=KINDS[kind](), options=options, train=False)
    outputs = [span_qa.oracle(feature, found[0], task=spec, options=options) for feature in features]
    partials = [span_qa.reduce(f, o, task=spec, options=options) for f, o in zip(features, outputs, strict=True)]
    (prediction,) = span_qa.decode(found, features, partials, task=spec, options=options)
    assert prediction.prediction == answer


def test_question_answering_scores_are_the_mean_of_both_measures():
    for task in ("xquad", "mlqa", "tydiqa"):
        score, metrics = scored(task, "the old town", ["old town hall"])
        assert sorted(metrics.values()) == pytest.approx([0, 80])
        assert score == pytest.approx(40)


def test_bucc_mines_the_full_corpora():
    """The hub's google/xtreme has only the pairs to be found: among them mining is an easier task."""
    sources = spec_of("bucc2018").data.test
    assert [(source.hub, source.config) for source in sources] == [("mteb/BUCC", "{lang}-en")]
    assert [use.metric for use in spec_of("bucc2018").metrics] == ["mined_pairs"]


def test_tatoeba_sentences_end_before_their_newline(mirror):
    row = {"source_sentence": "Das ist neu.\n", "target_sentence": "That is new.\n", "source_lang": "deu", "target_lang": "eng"}
    mirror("google/xtreme", "tatoeba.deu", "validation", [row])
    (example,) = examples(mirror, "tatoeba", lang="de")
    assert (example.source, example.target) == ("Das ist neu.", "That is new.")


def test_both_arms_of_a_lift_read_the_same_layer(tmp_path):
    here = write_tasks(tmp_path)
    write(here, {**pairs("found", train=False), "type": "retrieval", "fields": {"source": "a", "target": "a"}, "labels": []})
    for lang in ("en", "de"):
        (here / f"found-{lang}.jsonl").write_text('{"a": "x"}\n')
    for model_args in ("", "layer=0.5"):
        request = RunRequest(
            model=str(here / "model"), model_args=model_args, tasks="found", intermediate="none,warm", recipe="short"
        )
        made = make_plan(request, catalog=Catalog([here]), place=DataPlace(data_dir=here, offline=True))
        options = {cell.intermediate: cell.predict.args.options for cell in made.cells}
        assert set(options) == {"none", "warm"}
        assert options["none"] == options["warm"]
        assert options["none"].get("layer") == (0.5 if model_args else None)


@pytest.mark.parametrize("preset", ["multilingual-e5-small", "mmbert-base", "mmbert-small"])
def test_backbones_trained_on_labelled_data_say_so(preset, mirror, capsys):
    mirror("google/xtreme", "tatoeba.deu", "validation", [{"source_sentence": "a", "target_sentence": "b"}])
    words = f"plan --model {preset} --tasks tatoeba --languages de --data_dir {mirror.place.data_dir}"
    assert run_eval.main(words.split()) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"note on {preset}")]
    assert any("SQuAD" in note for note in notes), notes
