"""The results of a board as a model card's metadata (`model-index`), an arm a card, and their way to the hub on request.

    write_model_cards(board, Path("cards"), roots=[Path("runs/x")])       # cards/xlm-roberta-base+mnli-seed1/README.md
    push_results(board, "user/model", roots=[Path("runs/x")])              # into the metadata of that repository's own card

Every metric of every task and language is a result of its own, 0 to 100, with its interval and number of examples in its
configuration.  What the card says in words is only what the board knows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.api.errors import UserError
from harness.api.protocols import Json
from harness.api.registry import TASK_TYPES
from harness.data.languages import language
from harness.report.exports.arms import NONE, BoardArm, arms_of, predict_arguments, source_of
from harness.runtime.stages import write_text
from harness.specs.limit import limit_words

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

CARD = "README.md"


def write_model_cards(board: Mapping[str, Json], folder: Path, *, roots: Sequence[Path]) -> list[Path]:
    """Write a folder with a card for each arm."""
    written = []
    for arm in arms_of(board):
        written.append(folder / arm.name / CARD)
        write_text(written[-1], card(board, arm, roots=roots))
    return written


def card(board: Mapping[str, Json], arm: BoardArm, *, roots: Sequence[Path]) -> str:
    """The text of a card."""
    lines = [f"# {arm.name}", "", *_about(board, arm), "", "| task | language | metric | score | 95 % interval | n |"]
    lines.append("| :-- | :-- | :-- | --: | --: | --: |")
    for row in arm.rows:
        for key, number in row["metrics"].items():
            ends = f"[{number['low']:.1f}, {number['high']:.1f}]"
            lines.append(f"| {row['task']} | {row['lang']} | {key} | {number['value']:.1f} | {ends} | {number['n']:,} |")
    return f"---\n{metadata(board, arm, roots=roots).to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"


def _about(board: Mapping[str, Json], arm: BoardArm) -> list[str]:
    """What was done, in sentences."""
    model = board["models"][arm.model]
    what = f"Scores of {arm.model}"
    if arm.intermediate != NONE:
        what += f", trained on {arm.intermediate} in between (text of other languages that it saw: {_saw(board, arm)})"
    asked = [f"{name} {value}" for name, value in arm.settings.items() if name != "intermediate"]
    said = [f"{what}; {', '.join(asked)}." if asked else f"{what}.", f"Computed with xlift {__version__}."]
    said += [f"Only a part of the test rows was asked: {limit_words(arm.limit)}."] if arm.limit else []
    said += ["The world of these scores is synthetic: they are no claim about a model."] if board["synthetic"] else []
    saw = model["coverage"]
    said += [f"Pretrained on {len(saw['languages'])} of the languages known to xlift."] if saw else []
    return [" ".join(said)]


def _saw(board: Mapping[str, Json], arm: BoardArm) -> str:
    return str(board["declared"].get(arm.intermediate, "not recorded"))


def metadata(board: Mapping[str, Json], arm: BoardArm, *, roots: Sequence[Path]) -> "ModelCardData":
    """The card's metadata."""
    from huggingface_hub import ModelCardData

    model = board["models"][arm.model]
    base = model["path"] if model["path"] and model["path"].count("/") == 1 else None
    datasets = {hub for row in arm.rows if (hub := source_of(predict_arguments(row, roots))[0])}
    results = [_result(board, arm, row, key, roots=roots) for row in arm.rows for key in row["metrics"]]
    return ModelCardData(
        model_name=arm.name,
        language=sorted({language(row["lang"]).code for row in arm.rows}),
        base_model=base,
        datasets=sorted(datasets) or None,
        tags=["xlift", "zero-shot cross-lingual transfer"],
        eval_results=results,
    )


def _result(
    board: Mapping[str, Json], arm: BoardArm, row: Mapping[str, Json], key: str, *, roots: Sequence[Path]
) -> "EvalResult":
    """One metric of one task in one language."""
    from huggingface_hub import EvalResult

    hub, config, split = source_of(predict_arguments(row, roots))
    number, counts = row["metrics"][key], row["counts"]
    told = {"low": number["low"], "high": number["high"], "n": number["n"], "level": board["bootstrap"]["level"]}
    told |= {name: counts[name] for name in ("missing", "truncated_examples") if counts[name]}
    return EvalResult(
        task_type=TASK_TYPES.load(board["tasks"][row["task"]]["type"]).HUB_TASK,
        task_name=arm.task_name(row),
        dataset_type=hub or row["task"],
        dataset_name=f"{row['task']} ({row['lang']})",
        # The hub takes results for one where dataset, configuration and split are the same: the language keeps them apart.
        dataset_config=", ".join(dict.fromkeys(name for name in (config, row["lang"]) if name)),
        dataset_split=split,
        dataset_args={"language": row["lang"]},
        metric_type=key.rpartition(".")[2],
        metric_name=key,
        metric_value=number["value"],
        metric_args={"signature": number["signature"], **told},
    )


def push_results(board: Mapping[str, Json], repository: str, *, roots: Sequence[Path]) -> str:
    """Put the results of a board's one arm into the metadata of a model's card on the hub; returns the address of the commit.

    Raises UserError where the board has several arms, or where the hub cannot be reached or refuses.
    """
    from huggingface_hub import metadata_update

    arms = arms_of(board)
    if len(arms) != 1:
        raise UserError(
            "one model's results go into one card",
            where="--push_card",
            expected="a board of one model, setting, recipe and seed",
            found=", ".join(arm.name for arm in arms) or "none",
            todo="--export model_card=DIR writes a card for each",
        )
    own: dict[str, Any] = metadata(board, arms[0], roots=roots).to_dict()
    try:
        return str(metadata_update(repository, {"model-index": own["model-index"]}, overwrite=True))
    except Exception as error:  # the hub's client raises what its transport, its checks and the hub's answers happen to be
        raise UserError(
            "the hub has not taken the results",
            where=f"--push_card {repository}",
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:300],
            todo="see that the repository is yours and that you are logged in (hf auth login), or use --export model_card=DIR",
        ) from error
