"""Run folders as a run leaves them, with made-up predictions: real score stages, real request files, no model.

run = WrittenRun(tmp_path / "x", tasks={"xnli": labels("de", "en")})
run.cell("none", "xnli", "de", seed=1, right=70)
run.write()
"""

import random
from dataclasses import dataclass, field

from harness.report.record.schema import SCHEMA, RequestFile, write_record
from harness.runtime.arguments import ComponentArguments, ModelArguments, PredictArguments, ScoreArguments, TrainArguments
from harness.runtime.integrity import seal
from harness.runtime.stages import Stage, begin, mark_done, read_json, write_json
from harness.scoring.score import score_cell, write_score

LABELS = ("yes", "no", "perhaps")
SPEC = {"type": "classification", "data": {"test": []}}
MODEL = ModelArguments(adapter="encoder", fingerprint="f00d")


def task(*languages, kind="classification", score=("accuracy.accuracy",), chance=33.3, trained=True, **more):
    metrics = list(dict.fromkeys(key.split(".")[0] for key in score))
    spec = {
        "type": kind,
        "version": 1,
        "description": "",
        "languages": languages,
        "score": score,
        "chance": chance,
        "trained": trained,
    }
    return {**spec, "notes": [], "same_task": [], **more}, metrics


def lines(total, right, *, seed, kind="classification", truncated=0, missing=0, first=0):
    """Predictions of `total` examples, of which `right` are right; which ones, the seed says."""
    rng = random.Random(seed)
    good = set(rng.sample(range(total), right))
    found = []
    for i in range(total):
        gold = LABELS[i % 3]
        prediction = gold if i in good else LABELS[(i + 1) % 3]
        if kind == "span_qa":
            gold, prediction = [f"the house {i}"], f"house {i}" if i in good else f"old house {i}"
        if kind == "lm_eval":
            prediction = {"values": {"acc": float(i in good)}}
        line = {"id": f"{i + first:05d}", "prediction": None if i < missing else prediction, "gold": gold, "notes": []}
        found.append({**line, "num_truncated": 3 if i < truncated else 0})
    return found


def seal_again(folder):
    """Have done.json say that the files of a stage are as they are now, as if the stage had written them so."""
    done = read_json(folder / "done.json")
    write_json(folder / "done.json", {**done, "files": seal(folder)})


@dataclass
class WrittenRun:
    root: object
    tasks: dict
    model: str = "tiny"
    recipe: str = "quick"
    limit: int | None = None
    groups: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=lambda: {"parameters": 278_043_648, "non_embedding_parameters": 85_054_464})
    cells: list = field(default_factory=list)
    extra: dict = field(default_factory=dict)
    synthetic: bool = False

    def train_stage(self, label, *, parent=None, seed=1, **facts):
        rows = ComponentArguments(task=label, spec=SPEC, data={"en": "abc"}, options={})
        args = TrainArguments(model=MODEL, training={"batch_size": 8}, seed=seed, tasks=(rows,))
        stage = Stage(label=f"{self.model}+{label}-seed{seed}", args=args, inputs=(parent,) if parent else ())
        begin(stage, self.root)
        told = {
            "examples": 20_000,
            "truncated_examples": 7,
            "steps": 1250,
            "epochs": 2.0,
            "final_loss": 0.51234,
            "best_step": 1000,
        }
        told |= {"best_score": 81.25, "selection": "English validation", "degenerate": None, "seconds": 12.5, **facts}
        write_json(stage.folder(self.root) / "train.json", told)
        computed = {"arithmetic": facts["arithmetic"]} if "arithmetic" in facts else {}
        mark_done(stage, self.root, {**computed, "versions": {"torch": "2.13.0"}, "commit": "c0ffee"})
        return stage

    def cell(
        self,
        intermediate,
        name,
        lang,
        *,
        seed=None,
        right=50,
        total=100,
        finished=True,
        chain=None,
        same=False,
        route="head",
        given=None,
        facts=None,
        rows="rows",
        **how,
    ):
        """Ask for a cell and, if `finished`, leave its stages; `chain` are its train stages (made here by default).

        `given` are its predictions, in place of made-up ones.
        `facts` are what its prediction says of itself, `rows` begins the fingerprint of its test rows.
        """
        spec, metrics = self.tasks[name]
        if chain is None:
            chain = [self.train_stage(intermediate, seed=seed)] if intermediate != "none" else []
            chain += [self.train_stage(name, parent=chain[0] if chain else None, seed=seed)] if spec["trained"] else []
        label = f"{self.model}+{intermediate}-{name}-{lang}-{seed}"
        args = PredictArguments(
            model=MODEL,
            task=name,
            lang=lang,
            options={},
            spec=SPEC,
            data=f"{rows}-{name}-{lang}",
            head=name if route == "head" else None,
            limit=self.limit,
        )
        predict = Stage(label=label, args=args, inputs=tuple(chain[-1:]))
        how_scored = ScoreArguments(metrics=tuple(metrics), signatures=(), score=tuple(spec["score"]), lang=lang, seed=0)
        score = Stage(label=label, args=how_scored, inputs=(predict,))
        if finished:
            draw = how.pop("draw", f"{intermediate}/{name}/{lang}/{seed}")
            found = given or lines(total, right, seed=draw, kind=spec["type"], **how)
            begin(predict, self.root)
            told = {"examples": total, **(facts or {})}
            mark_done(predict, self.root, {**told, "versions": {"torch": "2.13.0"}, "commit": "c0ffee"})
            begin(score, self.root)
            done = score_cell(found, metrics=metrics, score=spec["score"], lang=lang, num_expected=len(found))
            write_score(done, score.folder(self.root))
            mark_done(score, self.root, {"versions": {"torch": "2.13.0"}, "commit": "c0ffee"})
        self.cells.append(
            {
                "model": self.model,
                "intermediate": intermediate,
                "task": name,
                "lang": lang,
                "seed": seed,
                "route": route,
                "recipe": self.recipe if chain else None,
                "same_task": same,
                "limit": self.limit,
                "score": score.name,
                "predict": predict.name,
                "train": [stage.name for stage in chain],
                "synthetic": self.synthetic,
            }
        )
        return score

    def write(self, name="0123456789"):
        model = {
            "path": f"/home/someone/models/{self.model}",
            "adapter": "encoder",
            "fingerprint": "f00d",
            "licence": "MIT",
            **self.sizes,
        }
        content = {
            "schema_": SCHEMA,
            "request": {"output_path": str(self.root)},
            "models": {self.model: model},
            "tasks": {name: spec for name, (spec, _) in self.tasks.items()},
            "groups": self.groups,
            "cells": self.cells,
            "versions": {"torch": "2.13.0"},
            "commit": "c0ffee",
            **self.extra,
        }
        write_record(RequestFile.model_validate(content), self.root / "requests" / f"{name}.json")
        return self.root


def nli(root, *, model="tiny", seeds=(1,), intermediates=("none", "mnli"), **how):
    """Two tasks, one of them untrained, three languages."""
    tasks = {
        "xnli": task("de", "en", "sw", same_task=["mnli"], notes=["A note on xnli."]),
        "pairs": task("de", "sw", trained=False, chance=0),
    }
    groups = {
        "all": {"members": ["xnli", "search"], "tasks": ["xnli", "pairs"], "aggregate": "mean_of_members"},
        "search": {"members": ["pairs"], "tasks": ["pairs"], "aggregate": "mean_of_tasks"},
    }
    run = WrittenRun(root, tasks=tasks, groups=groups, model=model, **how)
    right = {"en": 80, "de": 70, "sw": 60}
    for intermediate in intermediates:
        for seed in seeds:
            better = 10 if intermediate != "none" else 0
            for lang in ("de", "en", "sw"):
                run.cell(
                    intermediate,
                    "xnli",
                    lang,
                    seed=seed,
                    right=right[lang] + better + seed,
                    same=bool(better),
                    draw=f"{lang}{seed}",
                )
        for seed in seeds if intermediate != "none" else (None,):
            for lang in ("de", "sw"):
                better = 5 + seed if seed else 0
                run.cell(intermediate, "pairs", lang, seed=seed, right=40 + better, draw=lang)
    return run
