"""The backbones of a study, each with how it is trained: method, family, size and backbone laid over each other.

    members, errors = ladder_of(entry, catalog=catalog)
    members[0].name, members[0].size, members[0].recipe, members[0].model_args

Model arguments, the later win: the method's, the family's, the overrides by size, the backbone's own.  A bridge is a backbone
that is trained by every method: it stands once more for each method that is not its family's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.api.errors import UserError, collecting, did_you_mean, located
from harness.planning.backbone.resolve import Backbone, resolve
from harness.planning.catalog.catalog import Catalog, Entry
from harness.specs.key_values import merged_key_values
from harness.specs.study import LearningRates, StudyBackbone, StudySpec
from harness.specs.yaml_nodes import KeyPath
from harness.study.statistics.evidence import Rung


@dataclass(frozen=True, kw_only=True)
class LadderMember:
    """A backbone as the study trains it."""

    name: str
    "Unique in the study: what the board calls it, for a bridge with the method."
    model: str
    "As --model."
    family: str
    size: float
    "Non-embedding parameters."
    method: str
    recipe: str
    model_args: str
    route: str = ""
    prompt_args: str = ""
    bridges: str = ""
    "The member that is the same backbone, trained by its family's method; empty = it is that itself."
    contamination: str = "unknown"
    "Of its family's pretraining: none, known, unknown."
    grid: LearningRates
    "Learning rates to choose among."
    backbone: Backbone

    @property
    def is_low_rank(self) -> bool:
        """Whether adapters are trained instead of all weights."""
        return "lora" in self.backbone.arguments.extra


class _Listed(NamedTuple):
    """A backbone of a family, where it stands in the file, and the method it is to be trained by."""

    family: str
    number: int
    method: str
    is_bridge: bool

    @property
    def path(self) -> KeyPath:
        return ("families", self.family, "backbones", self.number)


def ladder_of(entry: Entry[StudySpec], *, catalog: Catalog) -> tuple[list[LadderMember], list[UserError]]:
    """The members by family and size, bridges last, and every mistake of the ladder."""
    errors: list[UserError] = []
    members: list[LadderMember] = []
    wrong = set(_wrong_methods(entry, catalog, errors))
    for place in _places(entry.spec):
        if place.method not in wrong:
            with collecting(errors):
                members.append(_member(entry, place, catalog))
    order = list(entry.spec.families)
    members.sort(key=lambda member: (bool(member.bridges), order.index(member.family), member.size, member.name))
    errors += _twice(entry, members)
    errors += _mixed_methods(entry, members)
    return members, errors


def other_sizes(members: Sequence[LadderMember], *, catalog: Catalog) -> list[Rung]:
    """The presets of the same families that the study leaves out: what could be added where a question stays undecided."""
    own = {member.backbone.name for member in members}
    families = {str(member.backbone.facts.get("family")): member.family for member in members}
    found: list[Rung] = []
    for name in catalog.names("preset"):
        spec = catalog.preset(name).spec
        if spec.family in families and spec.family and spec.non_embedding_parameters and name not in own:
            found.append(Rung(name, family=families[spec.family], size=float(spec.non_embedding_parameters)))
    return sorted(found, key=lambda rung: (rung.family, rung.size))


def _wrong_methods(entry: Entry[StudySpec], catalog: Catalog, errors: list[UserError]) -> Iterator[str]:
    """The methods that families name and the file does not have, or whose recipe is none; bridges that are no backbones."""
    spec = entry.spec
    for name, method in spec.methods.items():
        before = len(errors)
        with collecting(errors):
            catalog.recipe(method.recipe, where=entry.document.where(("methods", name, "recipe")))
        if len(errors) > before:
            yield name
    for name, family in spec.families.items():
        if family.method not in spec.methods:
            where = entry.document.where(("families", name, "method"))
            todo = did_you_mean(family.method, spec.methods)
            errors.append(UserError(f"no method '{family.method}' in this study", where=where, todo=todo))
            yield family.method
    models = [backbone.model for family in spec.families.values() for backbone in family.backbones]
    for bridge in spec.bridges:
        where = entry.document.where(("bridges",))
        if bridge not in models:
            errors.append(UserError(f"no family has the backbone '{bridge}'", where=where, todo=did_you_mean(bridge, models)))
        elif len(spec.methods) < 2:
            expected = "at least two `methods`"
            errors.append(UserError("nothing to bridge: the study has one method", where=where, expected=expected))


def _places(spec: StudySpec) -> Iterator[_Listed]:
    for name, family in spec.families.items():
        for number, backbone in enumerate(family.backbones):
            yield _Listed(name, number, family.method, is_bridge=False)
            if backbone.model in spec.bridges:
                yield from (_Listed(name, number, other, is_bridge=True) for other in spec.methods if other != family.method)


def _member(entry: Entry[StudySpec], place: _Listed, catalog: Catalog) -> LadderMember:
    spec, where = entry.spec, entry.document.where(place.path)
    family = spec.families[place.family]
    asked = family.backbones[place.number]
    method = spec.methods[place.method]
    size, name = _size(asked, where=where, catalog=catalog)
    chosen = [override for override in spec.overrides if size >= override.from_size]
    recipes = [method.recipe, *(override.recipe for override in chosen), asked.recipe]
    recipe = [name for name in recipes if name][-1]
    texts = [method.model_args, family.model_args, *(override.model_args for override in chosen), asked.model_args]
    args = merged_key_values(*texts)
    with located(where):
        catalog.recipe(recipe)
        backbone = resolve(asked.model, args, catalog=catalog, use_own_head=False)
    if backbone.is_fake:
        raise UserError("a fake is no backbone of a ladder", where=where, found=asked.model)
    return LadderMember(
        name=f"{name} ({place.method})" if place.is_bridge else name,
        model=asked.model,
        family=place.family,
        size=size,
        method=place.method,
        recipe=recipe,
        model_args=args,
        route=family.route,
        prompt_args=family.prompt_args,
        bridges=name if place.is_bridge else "",
        contamination=family.contamination,
        grid=method.learning_rates,
        backbone=backbone,
    )


def _size(asked: StudyBackbone, *, where: str, catalog: Catalog) -> tuple[float, str]:
    """Non-embedding parameters and the name on the board, from the file, the preset or the headers of the weights."""
    with located(where):
        backbone = resolve(asked.model, asked.model_args, catalog=catalog, use_own_head=False)
    size = asked.size or backbone.facts.get("non_embedding_parameters")
    if not size:
        todo = "write {model: ..., size: N} with its non-embedding parameters"
        raise UserError(f"the size of '{asked.model}' is not known", where=where, todo=todo)
    return float(size), backbone.name


def _twice(entry: Entry[StudySpec], members: list[LadderMember]) -> list[UserError]:
    """Backbones that stand twice, and those that the board could not tell apart."""
    errors: list[UserError] = []
    seen: dict[tuple[str, str], LadderMember] = {}
    for member in members:
        other = seen.setdefault((member.backbone.name, member.recipe), member)
        if other is not member:
            where = entry.document.where(("families", member.family))
            same = f"'{member.backbone.name}' with the recipe '{member.recipe}'"
            what = f"'{member.model}' and '{other.model}' are both {same} on the board"
            todo = "give the bridge's method a recipe of its own" if member.bridges else "leave one out, or rename its folder"
            errors.append(UserError(f"{what}: their scores could not be told apart", where=where, todo=todo))
    return errors


def _mixed_methods(entry: Entry[StudySpec], members: list[LadderMember]) -> list[UserError]:
    """Families of which some backbones train adapters and others all weights."""
    errors: list[UserError] = []
    for family in entry.spec.families:
        own = [member for member in members if member.family == family and not member.bridges]
        low = [member.name for member in own if member.is_low_rank]
        if low and len(low) < len(own):
            full = [member.name for member in own if not member.is_low_rank]
            errors.append(
                UserError(
                    "a family has one training method throughout, else size and method could not be told apart",
                    where=entry.document.where(("families", family)),
                    found=f"low-rank adapters for {', '.join(low)}, all weights for {', '.join(full)}",
                    todo="set lora_rank in the method or for the whole family; `bridges` compare methods",
                )
            )
    return errors
