"""A model that a server answers for: its name there, and the tokenizer that is here.

    arguments, knobs = served_arguments("SmolLM2-135M-Instruct", given.model, beforehand=())
    arguments.fingerprint               # 'server:SmolLM2-135M-Instruct'

Nothing is asked of the server yet: a plan needs no network.  What identifies the model is the name that the server has for it,
with `revision` where one is given: weights that change under the same name want another revision.  The address is in no key.
"""

from collections.abc import Collection
from typing import Any

from harness.api.errors import UserError, raise_all
from harness.api.model_files import local_folder
from harness.planning.backbone.file_identity import tokenizer_fingerprint
from harness.planning.backbone.folder_checks import check_tokenizer
from harness.planning.backbone.hub_ids import is_hub_id
from harness.planning.backbone.model_args import WHERE
from harness.runtime.arguments import ModelArguments
from harness.runtime.engines import ADAPTER, SERVER
from harness.runtime.knobs import Knobs
from harness.specs.model_args import EngineArgs, ModelArgs

KNOWN = ("tokenizer", "tokenizer_class", "trust_remote_code", "revision", *EngineArgs.model_fields)
"What --model_args may say of such a model."


def served_arguments(name: str, said: ModelArgs, *, beforehand: Collection[str]) -> tuple[ModelArguments, Knobs]:
    """What identifies a served model, and where its tokenizer lies; raises UserError for what a server does not take.

    `beforehand`: what a preset says in the user's place, which is not held against anyone.
    """
    others = [key for key in said.model_fields_set if key not in KNOWN and key not in beforehand]
    errors = [
        UserError(
            f"'{key}' says nothing to a server, which has loaded its model already",
            where=f"{WHERE} {key}",
            todo="leave it out, or say it where the server is started",
        )
        for key in sorted(others)
    ]
    place = said.tokenizer or (name if local_folder(name) or is_hub_id(name) else None)
    if place is None:
        errors.append(
            UserError(
                f"which tokenizer does '{name}' have?",
                where=f"{WHERE} tokenizer",
                expected="a folder or a hub id: prompts are sent as the ids of its tokens, and lengths are counted by it",
                todo="add tokenizer=FOLDER_OR_HUB_ID",
            )
        )
    raise_all(errors)
    assert place is not None
    if folder := local_folder(place):
        check_tokenizer(folder, trusts_code=said.trust_remote_code)
    extra: dict[str, Any] = {"tokenizer_class": said.tokenizer_class} if said.tokenizer_class else {}
    arguments = ModelArguments(
        adapter=ADAPTER,
        fingerprint=f"{SERVER}:{local_name(name)}" + (f"@{said.revision}" if said.revision else ""),
        tokenizer=tokenizer_fingerprint(place),
        trust_remote_code=said.trust_remote_code,
        extra=extra,
    )
    # A tokenizer that is named by itself is not of the model's commit.
    return arguments, Knobs(path=name, revision=None if said.tokenizer else said.revision, tokenizer=place)


def local_name(name: str) -> str:
    """A name without the folders of one machine: servers call a model by its folder where nothing else is said."""
    return name.rstrip("/").rpartition("/")[2] if name.startswith(("/", ".", "~")) else name
