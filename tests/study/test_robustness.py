"""Verdicts that rest on a choice, and what differs beside size."""

from harness.study.statistics.robustness import confounds, disagreements


def test_readings_that_come_to_another_verdict_are_told_contradictions_first():
    verdicts = {"points": "persists", "headroom": "persists", "without degenerate seeds": "undecided", "logit": "shrinks"}
    found = disagreements(verdicts, main="points")
    assert [one.text for one in found] == [
        "logit: shrinks, which contradicts 'persists' (points)",
        "without degenerate seeds: undecided, where points says 'persists'",
    ]
    assert [one.contradicts for one in found] == [True, False]
    assert disagreements({"points": "grows", "logit": "grows"}, main="points") == []


def test_what_is_decided_by_another_reading_alone_is_no_contradiction():
    (found,) = disagreements({"points": "undecided", "logit": "grows"}, main="points")
    assert (found.contradicts, found.text) == (False, "logit: grows, where points is undecided")


def test_what_changes_with_size_within_a_family_and_what_differs_between_families():
    families = {"base": "xlmr", "xxl": "xlmr", "qwen": "qwen3"}
    facts = {
        "base": {"method": "full", "recipe": "stilts", "coverage": "100"},
        "xxl": {"method": "lora", "recipe": "stilts", "coverage": "100"},
        "qwen": {"method": "lora", "recipe": "stilts"},
    }
    assert confounds(facts, families=families) == [
        "xlmr: method changes with size: full (base); lora (xxl)",
        "between families: coverage differs: 100 (xlmr); not recorded (qwen3)",
    ]
    assert confounds({name: {"recipe": "stilts"} for name in families}, families=families) == []
