"""Boards and studies with made-up numbers, as large as a test wants: documents that fit their schemas, without a run.

board = made_up_board(models=["small", "large"], settings=["none", "mnli"], tasks={"xnli": ["en", "de"]}, seeds=[1, 2])
document = made_up_study(backbones={"small": 1e8, "large": 1e9}, settings=["mnli"], targets={"xnli": ["en", "de"]})
"""

import math
import random

CHANCE = 25.0
COUNTS = {"examples": 500, "missing": 3, "truncated_examples": 7, "truncated_tokens": 210, "notes": {"no label in the answer": 2}}


def spread(value, half):
    return {"value": value, "low": value - half, "high": value + half}


def made_up_board(*, models, settings, tasks, seeds=(1,)):
    """Scores drawn by chance, higher for later models; every line has every task and language."""
    rng = random.Random(0)
    rows, entries, stages = [], [], {}
    for size, model in enumerate(models):
        for setting in settings:
            for task, langs in tasks.items():
                languages = {}
                for lang in langs:
                    own = [_row(rng, model, setting, task, lang, seed, size, stages) for seed in seeds]
                    rows += own
                    value = sum(row["score"]["value"] for row in own) / len(own)
                    lift = None if setting == "none" else spread(sum(row["lift"]["value"] for row in own) / len(own), 1.5)
                    languages[lang] = {
                        "score": spread(value, 2.0),
                        "seeds": [{"seed": row["seed"], "score": row["score"]["value"]} for row in own],
                        "over_seeds": {"n": len(own), "mean": value, "median": value, "sd": 1.0 if len(own) > 1 else None},
                        "lift": lift,
                        "lift_seeds": [] if lift is None else list(seeds),
                        "at_guessing": False,
                        "lift_at_guessing": False,
                    }
                entries.append(_task_score(model, setting, task, languages))
    return {
        "schema_version": 1,
        "synthetic": True,
        "bootstrap": {"samples": 1000, "level": 0.95, "seed": 0, "unit": "example"},
        "models": {model: _model(size) for size, model in enumerate(models)},
        "tasks": {task: _task(langs) for task, langs in tasks.items()},
        "groups": {},
        "task_order": list(tasks),
        "declared": {},
        "rows": rows,
        "task_scores": entries,
        "stages": stages,
        "environments": {"e0": {"commit": "c0ffee", "versions": {"torch": "2.13.0", "xlift": "0.1.0"}}},
        **{key: [] for key in ("group_scores", "cuts", "standings", "references", "missing", "degenerate", "replaced")},
        **{key: [] for key in ("overlaps", "failures", "requests", "older", "ceilings")},
    }


def _row(rng, model, setting, task, lang, seed, size, stages):
    value = 40 + 10 * size + rng.uniform(-5, 5)
    name = f"{model}+{setting.replace('/', '-')}+{task.replace('/', '-')}-seed{seed}"
    train, predict = f"train/{name}-0123456789", f"predict/{name}-{lang}-0123456789"
    stage = {"key": "0123456789", "data": {"data": "file:0123456789abcdef"}, "environments": ["e0"], "settings": {"limit": 9}}
    how = {"device": "cuda", "dtype": "bfloat16", "threads": None, "processes": 1, "repeatable": True}
    facts = {"steps": 100, "best_step": 50, "best_score": 81.0, "final_loss": 0.5, "selection": "final checkpoint", "task": task}
    stages[train] = {**stage, "inputs": [], "facts": facts, "arithmetic": [how]}
    facts = {"examples": 500, "features": 500, "tokens": 12_345, "truncated_examples": 7, "unknown_tokens": 1}
    stages[predict] = {**stage, "inputs": [train], "facts": facts, "arithmetic": [how]}
    score = f"score/{name}-{lang}-0123456789"
    stages[score] = {**stage, "inputs": [predict], "facts": {}, "arithmetic": []}
    return {
        **{"model": model, "intermediate": setting, "task": task, "lang": lang, "seed": seed, "recipe": "quick"},
        **{"route": "head", "limit": None, "partial": False, "same_task": False, "synthetic": True},
        "score": spread(value, 2.0),
        "chance": CHANCE,
        "centred": (value - CHANCE) / (100 - CHANCE) * 100,
        "metrics": {"accuracy.accuracy": {**spread(value, 2.0), "n": 500, "signature": "accuracy|stripped text"}},
        "counts": COUNTS,
        "single_class": False,
        "prediction_entropy": 1.5,
        "lift": None if setting == "none" else spread(rng.uniform(-3, 3), 1.5),
        "no_lift": "",
        "stages": {"train": [train], "predict": predict, "score": score},
    }


def _task_score(model, setting, task, languages):
    values = [one["score"]["value"] for one in languages.values()]
    lifts = [one["lift"]["value"] for one in languages.values() if one["lift"]]
    value = sum(values) / len(values)
    return {
        **{"model": model, "intermediate": setting, "recipe": "quick", "limit": None, "prompt": "", "task": task},
        "score": spread(value, 1.0),
        "chance": CHANCE,
        "centred": (value - CHANCE) / (100 - CHANCE) * 100,
        "complete": True,
        "missing_languages": [],
        "languages": languages,
        "transfer_gap": None,
        "seeds": [],
        "over_seeds": None,
        "lift": spread(sum(lifts) / len(lifts), 0.8) if lifts else None,
        "lift_missing": [],
        "metrics": {"accuracy.accuracy": value},
        **{"partial": False, "same_task": False, "synthetic": True, "counts": COUNTS, "options": {}, "stands_in_for": ""},
        **{"at_guessing": False, "lift_at_guessing": False, "degenerate_seeds": [], "degenerate_before": []},
    }


def _model(size):
    named = {"adapter": "encoder", **dict.fromkeys(("path", "preset", "revision", "fingerprint", "licence", "dtype"))}
    sizes = {"parameters": 10**7 * 3**size, "non_embedding_parameters": 10**6 * 4**size, "layers": 2, "hidden_size": 32}
    return {**named, **sizes, "pitfalls": [], "family": "made up", "coverage": None}


def _task(langs):
    return {
        **{"type": "classification", "version": 1, "description": "Made up.", "languages": list(langs)},
        **{"score": ["accuracy.accuracy"], "chance": CHANCE, "notes": [], "same_task": [], "trained": True, "stands_in_for": ""},
    }


def made_up_study(*, backbones, settings, targets, missing=(), synthetic=True, one_seed=False):
    """A study whose first setting persists and whose others are undecided; `backbones`: name -> size."""
    estimate = {"df": 3.0} if not one_seed else {"df": None}
    shown = {"value": 2.1, "low": 1.2, "high": 3.0, "df": 3.0}
    open_ = {"value": 0.2, "low": -1.0, "high": 1.4, "df": 3.0}
    smallest, largest = min(backbones.values()), max(backbones.values())
    fixed = {"scale": "points", "reference": smallest, "target": 10 * largest, "margin": 1.0, "alpha": 0.05, "correction": "holm"}
    return {
        "schema_version": 1,
        "study": "made_up",
        "description": "Does it persist?",
        "note": "",
        "synthetic": synthetic,
        "partial": False,
        "intervals": {"level": 0.95, "draws": 500},
        "fixed": {**fixed, "looks": 1, "families": "these", "registered": "0123", "changed_since_first_look": False},
        "look": {"taken": True, "why_not": "", "number": 1, "planned": 1, "alpha": 0.05, "fingerprint": "0123"},
        "settings": ["none", *settings],
        "seeds": [1] if one_seed else [1, 2],
        "targets": [
            {"target": target, "category": None, "languages": list(langs), "examples": 500, "same_task": []}
            for target, langs in targets.items()
        ],
        "backbones": [
            {
                **{"backbone": name, "family": "made up", "size": float(size), "model": name, "method": "full", "bridges": None},
                **{"covered": None, "contamination": "none", "facts": {"number format": "auto"}},
            }
            for name, size in backbones.items()
        ],
        "composites": [],
        "missing": {"count": sum(one["count"] for one in missing), "scores": list(missing)},
        "learning_rates": [],
        "degenerate": [],
        "hypotheses": [_hypothesis(name, list(backbones), shown if not at else open_, at) for at, name in enumerate(settings)],
        "lifts": [
            _lifts(setting, place, backbones, shown if not at else open_, estimate)
            for at, setting in enumerate(settings)
            for place in [("zero_shot", "all targets"), *(("target", target) for target in targets), ("family", "Indo-European")]
        ],
        "bridges": [],
        "scores": [
            {
                **{"setting": setting, "backbone": name, "target": target},
                "means": {"english": None, "all": _mean(size), "zero_shot": _mean(size)},
            }
            for setting in ("none", *settings)
            for name, size in backbones.items()
            for target in targets
        ],
        "references": [],
    }  # fmt: skip


def _mean(size):
    value = 30 + 5 * math.log10(size)
    return {**spread(value, 2.0), "df": 3.0, "why_no_interval": None, "num_seeds": 2, "seeds": [value - 1, value + 1]}


def _hypothesis(setting, backbones, number, at):
    level = {"low_at_level": number["low"] - 1.1, "high_at_level": number["high"] + 1.1, "level": 0.99}
    zero_shot = {"kind": "zero_shot", "group": "all targets"}
    asked = {"asks": "scale", "settings": [setting], "than": [], "over": zero_shot, "than_over": [], "each": False, "at": "mean"}
    return {
        "name": f"{setting} keeps helping",
        "question": {**asked, "scale": "points", "unit": "points", "margin": 1.0},
        "verdict": "undecided" if at else "persists",
        **{"settled": "", "why": "", "kept": None, "now": None, "p": 0.01, "adjusted_p": 0.02, "alpha": 0.05},
        "numbers": [{"name": name, **number, **level} for name in ("reference", "target", "change")],
        **{"heterogeneity": {}, "families": [], "left_out": [], "backbones": backbones, "without": []},
        **{"cells": 4, "examples": 500},
        **{"num_seeds": {"fewest": 2, "most": 2}, "same_task_apart": [], "readings": [], "disagreements": [], "confounds": []},
        "advice": None,
    }


def _lifts(setting, place, backbones, number, estimate):
    one = {key: number[key] for key in ("value", "low", "high")}
    is_single = estimate["df"] is None
    own = {**one, "why_no_interval": None, **estimate}
    own |= {"low": None, "high": None, "why_no_interval": "one seed"} if is_single else {}
    sizes = backbones.values()
    line = {"smallest": min(sizes), "largest": max(sizes), "tau": 0.0, "beyond": [], "new_backbone": None}
    line |= dict.fromkeys(("slope", "reference", "target", "change"), number)
    scale = {
        "backbones": [
            {"backbone": name, "lift": own, "num_seeds": 1 if is_single else 2, "seeds": [1.0, 2.0]} for name in backbones
        ],
        "families": [{"family": "made up", "backbones": len(backbones), "line": line, "why": None}],
        "mean": None if is_single else number,
        "why_no_mean": "one seed" if is_single else None,
        "pooled": [],
    }
    return {
        **{"setting": setting, "kind": place[0], "group": place[1], "same_task": False},
        "backbones": [{"backbone": name, "cells": 2, "examples": 500, "why": None} for name in backbones],
        "scales": {"points": scale, "headroom": None, "logit": None},
        "refused": {"headroom": "made up", "logit": "made up"},
    }
