"""What a metric takes and what it makes of all else, as docs/metrics.md says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_tasks import pairs, write

from harness.api.errors import UserError, UserErrors
from harness.api.registry import METRICS, ROOT
from harness.planning.catalog.catalog import Catalog
from harness.scoring.score import score_cell

NAMES = METRICS.names()
TABLE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
REFUSED = {
    "accuracy": [(["O"], ["O"]), ({"text": "a"}, "a"), (0.5, "0.5")],
    "token_accuracy": [("NOUN", "NOUN"), (["O"], ["O", "O"]), ([1], [2])],
    "entity_f1": [(tag, tag) for tag in (["NOUN"], ["L-PER"], ["U-PER"], ["b-PER"], ["O-PER"], ["PER"], [""], ["BPER"])]
    + [("B-PER", "B-PER"), (["O"], ["O", "O"]), (None, ["NOUN"])],
    "chunk_f1": [([""], ["O"]), ("NOUN", "NOUN"), (["O"], ["O", "O"]), ([1], [2])],
    "mined_pairs": [("a\tb", "a\tb"), ([["a", "b"]], ["a\tb"]), ({"a": "b"}, ["a\tb"])],
    "squad": [(["a"], ["a"]), ({"text": "a", "null_odds": 1.0}, ["a"]), ("a", "a"), ("a", [])],
    "mlqa": [(["a"], ["a"]), ({"text": "a", "null_odds": 1.0}, ["a"]), ("a", "a"), ("a", [])],
    "squad_v2": [("a", ["a"]), ({"text": "a", "null_odds": float("nan")}, ["a"]), ({"text": "a"}, ["a"]), (None, "a")],
    "exact_match": [(["a"], ["a"]), ("a", []), ("a", [1])],
    "token_f1": [(["a"], ["a"]), ("a", []), ("a", [1])],
    "bleu": [(["a"], ["a"]), ("a", []), ("a", [1])],
    "chrf": [(["a"], ["a"]), ("a", []), ("a", [1])],
    "lm_eval_mean": [({"values": {"value": "1"}}, 1), ("a", "a"), (["O"], ["O"])],
    "lm_eval_f1": [({"values": {"value": [2, 1]}}, 1), ({"values": {"value": 1}}, 1), ("a", "a")],
    "lm_eval_weighted_f1": [({"values": {"value": [[2], 1]}}, 1), ({"values": {"value": 1}}, 1), ("a", "a")],
    "lm_eval_micro_f1": [({"values": {"value": [2, None]}}, 1), ({"values": {"value": 1}}, 1), ("a", "a")],
    "lm_eval_mcc": [({"values": {"value": [2, 1]}}, 1), ({"values": {"value": 1}}, 1), ("a", "a")],
    "lm_eval_bleu": [({"values": {"value": "a"}}, 1), ({"values": {"value": [1, "a"]}}, 1), ("a", "a")],
    "lm_eval_chrf": [({"values": {"value": "a"}}, 1), ({"values": {"value": [1, "a"]}}, 1), ("a", "a")],
    "lm_eval_chrf_plus_plus": [({"values": {"value": "a"}}, 1), ({"values": {"value": [1, "a"]}}, 1), ("a", "a")],
    "lm_eval_ter": [({"values": {"value": "a"}}, 1), ({"values": {"value": [1, "a"]}}, 1), ("a", "a")],
    "lm_eval_perplexity": [({"values": {"value": "a"}}, 1), ({"values": {"value": [-1.0, "a"]}}, 1), ("a", "a")],
    "lm_eval_bits_per_byte": [({"values": {"value": "a"}}, 1), ({"values": {"value": [-1.0, None]}}, 1), ("a", "a")],
}
"Metric -> (prediction, gold) that are none of its own."
NONSENSE = [({"a": {"b": 1}}, {"a": 1}), (0.5, ["O"])]
"The same for a metric of which nothing more is said."


def line(prediction: Any, gold: Any) -> dict[str, Any]:
    return {"id": "7", "lang": "en", "prediction": prediction, "gold": gold, "num_truncated": 0, "notes": []}


def test_the_table_speaks_of_metrics_that_there_are() -> None:
    rows = [row.strip("|").split(" | ") for row in TABLE.splitlines() if row.startswith("| `")]
    assert {*REFUSED} <= {row[0].strip(" `") for row in rows} <= {*NAMES}
    assert {len(row) for row in rows} == {4}  # metric, takes, equals, outside of it


@pytest.mark.parametrize("name", NAMES)
def test_what_a_metric_was_not_made_for_is_an_error_and_no_number(name: str) -> None:
    for prediction, gold in REFUSED.get(name, NONSENSE):
        with pytest.raises(UserError, match=f"metric {name}, language en"):
            score_cell([line(prediction, gold)], metrics=[name], score=(), lang="en", num_expected=1)


@pytest.mark.parametrize("label", ["NOUN", "L-PER", "O-PER"])
def test_labels_that_no_entity_tag_has_are_found_when_the_task_file_is_read(label: str, tmp_path: Path) -> None:
    fields = {"fields": {"tokens": "t", "tags": "tags"}, "type": "tagging", "chance": 0, "selection": "none"}
    write(tmp_path, {**pairs("fine", train=False, **fields), "labels": ["O", "B-PER", label], "metrics": ["entity_f1"]})
    with pytest.raises((UserError, UserErrors), match=rf"(?s)fine\.yaml:\d+ metrics\[0\].*entity_f1.*found: {label}\n"):
        Catalog([tmp_path]).task("fine")
    content = yaml.safe_load((tmp_path / "fine.yaml").read_text())
    write(tmp_path, {**content, "metrics": ["chunk_f1", "token_accuracy"]})
    assert Catalog([tmp_path]).task("fine").spec.labels == ("O", "B-PER", label)


def test_every_shipped_task_has_metrics_that_take_its_labels() -> None:
    catalog = Catalog()
    found = {name: catalog.task(name).spec for name in catalog.names("task")}
    tagging = {name: [use.metric for use in spec.metrics] for name, spec in found.items() if spec.type == "tagging"}
    # XTREME's rule is that of XTREME's tasks and their miniatures, and of no other.
    assert {name for name, metrics in tagging.items() if "chunk_f1" in metrics} == {
        "panx",
        "udpos",
        "udpos_hub",
        "mini/panx",
        "mini/udpos",
    }
    assert {name for name, metrics in tagging.items() if "entity_f1" in metrics} == {"mini/tagging"}


def test_the_table_says_in_which_languages_mlqa_has_rules() -> None:
    (said,) = re.findall(r"the same in ([a-z, ]+ and zh), by rules", TABLE)
    codes = said.replace(" and", ",").split(", ")
    assert [METRICS.load("mlqa").stats("x", ["x"], lang=lang) for lang in codes] == [(1.0, 1.0, 1.0)] * 7
    with pytest.raises(UserError, match="no answer normalisation"):
        METRICS.load("mlqa").stats("a", ["a"], lang="sw")
