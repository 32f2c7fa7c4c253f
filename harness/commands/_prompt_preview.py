"""What `show` prints of a task that can be asked in words: its prompts for the first test row of some languages.

for line in own_prompts(entry, catalog=catalog, place=place, prompt_args=PromptArgs(num_fewshot=1), langs=["de"]): out(line)
"""

from collections.abc import Iterator, Sequence
from typing import Any

from harness.api.errors import MissingData
from harness.api.registry import TASK_TYPES
from harness.commands._table import on_one_line
from harness.data.examples import load_examples
from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog, Entry
from harness.planning.routes import prompt_name
from harness.specs.portable import Split
from harness.specs.prompt import PromptArgs
from harness.specs.task import TaskSpec
from harness.task_types.prompting.route import PromptRoute
from harness.task_types.prompting.templates import wording_of


def own_prompts(
    entry: Entry[TaskSpec],
    *,
    catalog: Catalog,
    place: DataPlace,
    prompt_args: PromptArgs,
    langs: Sequence[str],
    tokenizer: Any = None,
) -> Iterator[str]:
    """Lines with prompt, continuations and right answer, or why there are none; a chat template needs the tokenizer."""
    spec = entry.spec
    assert spec.prompt is not None
    split: Split = "test" if spec.data.test else "train"
    source = catalog.task(spec.train_on) if spec.train_on and prompt_args.fewshot_split == "train" else entry
    try:
        pool = _rows(source.spec, prompt_args.fewshot_split, ["en"], catalog, place) if prompt_args.num_fewshot else []
        yield f"{prompt_name(prompt_args)}: the first {split} row"
        route = PromptRoute(module=TASK_TYPES.load(spec.type), prompt_args=prompt_args, pool=pool)
        for lang in langs:
            example = _rows(spec, split, [lang], catalog, place)[0]
            wording = wording_of(spec, prompt_args=prompt_args, lang=lang)
            prompt = route.rendered(example, wording, task=spec, tokenizer=tokenizer)
            yield f"{lang}, row {example.id}, right: {on_one_line(wording.answer(example))}"
            yield f"  prompt: {on_one_line(prompt.text)}"
            yield from (f"  then: {on_one_line(prompt.delimiter + text)}" for text in wording.continuations(example))
            if generate := spec.prompt.generate:
                if prompt_args.thinking:
                    yield f"  then at most {prompt_args.thinking_budget} tokens of thoughts"
                longest = prompt_args.answer_length(generate.max_new_tokens)
                yield f"  then at most {longest} tokens, until {on_one_line(list(generate.stop))}"
    except MissingData as error:
        yield f"no prompts: {str(error).splitlines()[0]}"


def _rows(spec: TaskSpec, split: Split, langs: Sequence[str], catalog: Catalog, place: DataPlace) -> Sequence[Any]:
    folder = catalog.folder("task", spec.task)
    limit = 1 if split == "test" else None
    return load_examples(spec, split=split, langs=langs, place=place, task_folder=folder, limit=limit).examples
