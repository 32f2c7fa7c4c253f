"""What single stages do that is neither training nor prediction, and what is said of a stage that is done.

facts = make_backbone(stage, root=root, machine=machine)       # verb init
score_predictions(stage, root=root, machine=machine)           # verb score
score_beside(stages, predicted, root=root, machine=machine)    # the same in a thread beside a model that predicts
done_line(stage, folder=stage.folder(root), seconds=0.4)       # 'done: score/xlmr-xnli-de-0123456789: 77.1 in 0.4 s'
"""

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.api.errors import UserError
from harness.api.progress import duration
from harness.api.registry import METRICS
from harness.prediction.finishing import read_predictions
from harness.runtime.arguments import InitArguments, ScoreArguments
from harness.runtime.folders import sweep
from harness.runtime.garbage import rare_collections
from harness.runtime.locks import lock
from harness.runtime.machine import Machine
from harness.runtime.provenance import provenance
from harness.runtime.stages import AnyStage, Stage, begin, mark_done, read_done
from harness.scoring.score import SCORE_FILE, score_cell, write_score


def make_backbone(stage: Stage[InitArguments], *, root: Path, machine: Machine) -> dict[str, object]:
    """Make a backbone of random weights and the tokenizer that goes with it; returns the facts of the stage."""
    from harness.api.registry import ADAPTERS, TASK_TYPES
    from harness.data.examples import load_examples

    spec = stage.args.texts.task_spec
    place, folder = machine.place, machine.task_folders.get(spec.task)
    found = load_examples(spec, split="train", langs=spec.train_languages, place=place, task_folder=folder)
    module = TASK_TYPES.load(spec.type)
    adapter = ADAPTERS.load("encoder")
    lines = (text for example in found.examples for text in module.texts(example))
    tokenizer = adapter.train_tokenizer(lines, vocab_size=stage.args.vocab_size)
    backbone = stage.folder(root) / "backbone"
    adapter.init_scratch(stage.args.config, tokenizer=tokenizer, folder=backbone, seed=stage.args.seed)
    return {"vocabulary": len(tokenizer)}


def score_predictions(stage: Stage[ScoreArguments], *, root: Path, machine: Machine) -> None:
    """Score the predictions of the stage's one input."""
    machine.metrics_at_hand()
    predict = stage.inputs[0].folder(root)
    args = stage.args
    for name, signature in zip(args.metrics, args.signatures, strict=True):
        if signature != METRICS.load(name).SIGNATURE:
            found, todo = METRICS.load(name).SIGNATURE, "give the command again"
            raise UserError(f"metric '{name}' is not the one that was planned with", expected=signature, found=found, todo=todo)
    with rare_collections():
        cell = score_cell(
            read_predictions(predict),
            metrics=args.metrics,
            score=args.score,
            lang=args.lang,
            num_expected=read_done(predict)["examples"],
            seed=args.seed,
        )
    write_score(cell, stage.folder(root))


def score_beside(stages: Sequence[AnyStage], predicted: AnyStage, *, root: Path, machine: Machine) -> dict[str, float]:
    """Score predictions that have just been made, while a model goes on with others; seconds by key of the stages done so.

    What fails is left to its turn among the stages, which tells why.
    """
    seconds: dict[str, float] = {}
    for stage in stages:
        if stage.verb != "score" or stage.inputs[0].key != predicted.key:
            continue
        with contextlib.suppress(Exception), lock(stage.folder(root), wait=False) as held:
            if held and not stage.is_done(root):
                sweep(begin(stage, root))
                begun = time.monotonic()
                score_predictions(stage, root=root, machine=machine)
                mark_done(stage, root, provenance())
                seconds[stage.key] = time.monotonic() - begun
    return seconds


def done_line(stage: AnyStage, *, folder: Path, seconds: float | None) -> str:
    """One line on a stage that has just been done, `seconds` of its own (None = it shared the work with others)."""
    facts: dict[str, Any] = read_done(folder)
    if stage.verb == "train":
        what = (
            f"{facts['steps']:,} steps, English {facts['best_score']:.1f}" if facts["best_score"] else f"{facts['steps']:,} steps"
        )
    elif stage.verb == "predict":
        what = f"{facts['examples']:,} rows, {facts['tokens']:,} tokens"
    elif stage.verb == "score":
        what = f"{json.loads((folder / SCORE_FILE).read_text(encoding='utf-8'))['score']['value']:.1f}"
    else:
        what = f"{facts['vocabulary']:,} words"
    return f"done: {stage.name}: {what}" + ("" if seconds is None else f" in {duration(seconds)}")
