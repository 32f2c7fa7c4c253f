"""What the tokenizer of a model makes of the rows of a task, for `validate --model`: what training and prediction would find.

seen = tokens_of(entry, "train", examples, model="xlm-roberta-base", model_args="", catalog=catalog)
seen.lines, seen.warnings, seen.errors
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.api.errors import UserError, collecting
from harness.api.protocols import Feature
from harness.api.registry import TASK_TYPES
from harness.planning.backbone.resolve import Backbone, resolve
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.precedence import task_options
from harness.prediction.vocabulary import check_english, check_ids, count_tokens
from harness.specs.portable import Split
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.prompting.route import PromptRoute

ROWS = 1000
"Rows that are tokenised."
SHOWN = 3
UNKNOWN = 0.1
"Share of unknown tokens from which on it is said."


class TokensSeen(NamedTuple):
    """What is printed of a split in a language."""

    lines: list[str]
    warnings: list[str]
    errors: list[UserError]


def tokens_of(
    entry: Entry[TaskSpec], split: Split, examples: Sequence[Any], *, model: str, model_args: str, catalog: Catalog
) -> TokensSeen:
    """Encode some rows as the task is trained or asked; raises UserError for a model without a tokenizer."""
    spec, found = entry.spec, TokensSeen([], [], [])
    backbone = resolve(model, model_args, catalog=catalog, use_own_head=False)
    tokenizer = _tokenizer(backbone)
    options = task_options(
        entry, recipe=None, preset=backbone.preset, overrides=backbone.options, adapter=backbone.adapter
    ).values
    kind, some = TASK_TYPES.load(spec.type), examples[:ROWS]
    route = kind if any(name != "prompt" for name in kind.ROUTES) else PromptRoute(module=kind, prompt_args=PromptArgs())
    features: list[Feature] = []
    with collecting(found.errors):
        features = route.encode(some, task=spec, tokenizer=tokenizer, options=options, train=split == "train")
    if found.errors:
        return found
    for example in range(min(SHOWN, len(some))):
        own = [feature for feature in features if feature.example == example]
        pieces = " | ".join(" ".join(tokenizer.convert_ids_to_tokens(feature.input_ids[:24])) for feature in own[:2])
        found.lines.append(f"{some[example].id}: {sum(len(feature.input_ids) for feature in own)} tokens: {pieces}"[:300])
    found.warnings.extend(_warnings(some, features, options=options, kind=kind, tokenizer=tokenizer, train=split == "train"))
    with collecting(found.errors):
        where = f"{spec.task} {split}"
        check_ids(features, num_embeddings=_num_embeddings(backbone), tokenizer=tokenizer, where=where)
        check_english(some, kind=kind, tokenizer=tokenizer, where=where)
    return found


def _warnings(
    examples: Sequence[Any], features: Sequence[Feature], *, options: Any, kind: Any, tokenizer: Any, train: bool
) -> list[str]:
    """Rows that lose text, or give nothing to learn from."""
    counts = count_tokens(features, examples, kind=kind, tokenizer=tokenizer)
    said = []
    if counts.empty_inputs:
        said.append(f"{counts.empty_inputs:,} of {len(features):,} inputs have no text after tokenisation")
    cut = {feature.example for feature in features if feature.num_truncated}
    if cut:
        limit = getattr(options, "max_length", None)
        longer = f" than max_length {limit}" if limit else ""
        said.append(f"{len(cut):,} of {len(examples):,} rows are longer{longer} and lose text, '{examples[min(cut)].id}' for one")
    share = counts.unknown_tokens / max(1, counts.text_tokens)
    if share > UNKNOWN:
        said.append(f"{share:.0%} of the tokens are unknown to the tokenizer")
    without = {*range(len(examples))} - {feature.example for feature in features}
    if train and without:
        said.append(
            f"{len(without):,} of {len(examples):,} rows give nothing to learn from, '{examples[min(without)].id}' for one"
        )
    return said


def _tokenizer(backbone: Backbone) -> Any:
    """The tokenizer that the model's files, or --model_args, name."""
    path = backbone.knobs.tokenizer or backbone.knobs.checkpoint or backbone.knobs.path
    if path is None:
        raise UserError(f"'{backbone.name}' has no tokenizer before it is made", where="--model", todo="name a model with files")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, revision=backbone.knobs.revision)
    except Exception as error:  # of whatever package reads the files
        text = " ".join(str(error).split())[:300]
        raise UserError("cannot load a tokenizer", where=str(path), found=f"{type(error).__name__}: {text}") from error


def _num_embeddings(backbone: Backbone) -> int | None:
    """Rows of the model's table of words, where its configuration says it."""
    from transformers import AutoConfig

    path = backbone.knobs.path
    if path is None or not (Path(path) / "config.json").is_file():
        return None
    try:
        size = getattr(AutoConfig.from_pretrained(path).get_text_config(), "vocab_size", None)
    except Exception:  # a configuration that transformers does not know says nothing of its table
        return None
    return size if isinstance(size, int) else None
