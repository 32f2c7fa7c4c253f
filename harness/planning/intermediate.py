"""Intermediate settings as --intermediate names them.

    none                       no intermediate phase
    mnli                       one task
    mnli+qqp+squad_v2          several tasks at once (multi-task); a group's name stands for all its tasks
    +intermediate              all tasks of a group at once
    mnli+mlm                   with masked words of raw text mixed in
    mnli@de                    the task's machine-translated rows in place of its English ones
    mnli+qqp~uniform           other sampling than the recipe's: ~proportional, ~uniform, ~temperature=2
    mlm:mnli                   one phase after the other
    intermediate               a group alone: each of its tasks as a setting of its own

settings = parse_settings("none,mnli,mnli+mlm", catalog=catalog)
settings[2].phases[0].components        # (Component(task='mnli'), Component(task='mlm'))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from harness.api.errors import UserError, collecting, did_you_mean, raise_all
from harness.data.languages import language
from harness.planning.catalog.catalog import Catalog
from harness.specs.recipe import Training

NO_INTERMEDIATE = "none"
WHERE = "--intermediate"
SAMPLINGS: tuple[str, ...] = get_args(Training.model_fields["sampling"].annotation)
_MARKS = "+:@~"


@dataclass(frozen=True, kw_only=True, order=True)
class Component:
    """One task of a phase."""

    task: str
    lang: str = ""
    "Language of the translated rows that replace the English ones; empty = the task's own rows."

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.task}@{self.lang}" if self.lang else self.task


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What is trained at once."""

    name: str
    components: tuple[Component, ...]
    sampling: tuple[tuple[str, Any], ...] = ()
    "Keys of Training that the setting itself gives: sampling and temperature."

    @property
    def is_mixture(self) -> bool:
        """Whether several tasks are trained together."""
        return len(self.components) > 1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of --intermediate."""

    name: str
    phases: tuple[Phase, ...] = ()

    @property
    def components(self) -> list[Component]:
        """The components of all phases, each once."""
        return list(dict.fromkeys(component for phase in self.phases for component in phase.components))

    @property
    def tasks(self) -> list[str]:
        """The tasks of all phases, each once."""
        return list(dict.fromkeys(component.task for component in self.components))


def parse_settings(text: str, *, catalog: Catalog) -> list[Setting]:
    """The settings in order, each once; raises every mistake at once."""
    settings: dict[tuple[Any, ...], Setting] = {}
    errors: list[UserError] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        with collecting(errors):
            for setting in _settings(part, catalog):
                same = tuple((frozenset(phase.components), phase.sampling) for phase in setting.phases)
                settings.setdefault(same, setting)
    raise_all(errors)
    return list(settings.values())


def _settings(text: str, catalog: Catalog) -> list[Setting]:
    """One setting, or one for each task of a group or glob that stands alone."""
    if text == NO_INTERMEDIATE:
        return [Setting(name=text)]
    if not any(mark in text for mark in _MARKS):
        names = _tasks(text, catalog)
        return [Setting(name=name, phases=(_phase(name, catalog),)) for name in names]
    errors: list[UserError] = []
    phases: list[Phase] = []
    for part in text.split(":"):
        with collecting(errors):
            phases.append(_phase(part.strip(), catalog))
    raise_all(errors)
    return [Setting(name=":".join(phase.name for phase in phases), phases=tuple(phases))]


def _phase(text: str, catalog: Catalog) -> Phase:
    """The tasks of one phase and how they are sampled."""
    mixed, _, sampling = text.partition("~")
    parts = [part.strip() for part in mixed.removeprefix("+").split("+")]
    if not all(parts):
        raise UserError(f"'{text}' names no task", where=WHERE, expected="tasks joined by +, phases joined by :")
    components: dict[Component, None] = {}
    errors: list[UserError] = []
    for part in parts:
        with collecting(errors):
            components |= dict.fromkeys(_components(part, catalog))
    raise_all(errors)
    chosen = tuple(components)
    if sampling and len(chosen) < 2:
        raise UserError(f"'{text}' has one task: there is nothing to sample", where=WHERE, todo=f"write '{mixed}'")
    return Phase(name=text, components=chosen, sampling=tuple(_sampling(sampling, text).items()) if sampling else ())


def _components(text: str, catalog: Catalog) -> list[Component]:
    """A task (of a group: each), with the language of its translated rows."""
    name, _, lang = text.partition("@")
    found = [Component(task=task, lang=lang) for task in _tasks(name, catalog)]
    for component in found:
        spec = catalog.task(component.task, where=WHERE).spec
        if not lang and not spec.data.train:
            raise UserError(f"task '{spec.task}' has no training rows", where=WHERE, expected="a task with data.train")
        if lang:
            language(lang, where=WHERE)
            if lang not in spec.translated_languages:
                known = ", ".join(spec.translated_languages) or "none"
                raise UserError(
                    f"task '{spec.task}' has no translated rows in '{lang}'",
                    where=WHERE,
                    found=f"translated languages: {known}",
                    todo="give the task `data.translated` and `translated_languages` (docs/intermediate.md)",
                )
    return found


def _tasks(name: str, catalog: Catalog) -> list[str]:
    """Tasks by name, group or glob; UserError with the nearest name."""
    if name in catalog.names("task"):
        catalog.task(name, where=WHERE)
        return [name]
    if name in catalog.names("group") or "*" in name:
        return catalog.select(name)
    todo = did_you_mean(name, [NO_INTERMEDIATE, *catalog.names("task"), *catalog.names("group")])
    raise UserError(f"unknown task '{name}'", where=WHERE, todo=todo)


def _sampling(text: str, phase: str) -> Mapping[str, Any]:
    """Keys of Training of `uniform`, `proportional` or `temperature=T`."""
    kind, _, value = text.partition("=")
    where = f"{WHERE} {phase}"
    if kind not in SAMPLINGS or bool(value) != (kind == "temperature"):
        expected = "~proportional, ~uniform or ~temperature=T"
        raise UserError(f"unknown sampling '~{text}'", where=where, expected=expected, todo=did_you_mean(kind, SAMPLINGS))
    if kind != "temperature":
        return {"sampling": kind}
    try:
        temperature = float(value)
    except ValueError:
        temperature = 0.0
    if not 0 < temperature < float("inf"):
        raise UserError("the temperature must be a number above 0", where=where, found=value)
    return {"sampling": kind, "sampling_temperature": temperature}


def short_name(name: str) -> str:
    """A setting's name for a folder: long mixtures by their first task and how many more there are."""
    parts = name.removeprefix("+").split("+")
    return name if len(name) <= 60 else f"{parts[0]}+{len(parts) - 1}-more"[:60]
