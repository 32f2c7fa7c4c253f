"""What a run asks for, as the command line gives it.

request = RunRequest(model="mini", tasks="mini/nli", intermediate="none,mini/paraphrase", recipe="mini")
"""

from dataclasses import dataclass
from typing import NamedTuple

from harness.planning.intermediate import NO_INTERMEDIATE
from harness.specs.limit import Limit
from harness.specs.task import TaskSpec


class GivenRate(NamedTuple):
    """The learning rate of one training, in place of the recipe's."""

    setting: str
    "The intermediate setting; of several phases each is a setting of its own that ends with it."
    target: str
    "Empty for the last phase of the setting itself."
    rate: float


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A model, tasks, intermediate settings, seeds and languages."""

    model: str
    model_args: str = ""
    tasks: str
    intermediate: str = NO_INTERMEDIATE
    "Settings separated by commas; see harness/planning/intermediate.py."
    recipe: str = "xtreme_2020"
    seeds: tuple[int, ...] = (1,)
    languages: tuple[str, ...] = ()
    "Only these; all of each task if empty."
    limit: Limit | None = None
    "Test rows per language: a seeded sample, or the first ones (harness/specs/limit.py)."
    no_train: bool = False
    "Use the heads that the checkpoint has."
    remove_overlap: bool = False
    "Leave out training rows whose text occurs in the run's test rows."
    route: str = ""
    "`prompt` asks in words the tasks whose type can be asked so; empty = the first route of each task type."
    prompt_args: str = ""
    "`key=value,...` of PromptArgs."
    replaced: tuple[tuple[str, int, int], ...] = ()
    "(task, seed, new seed): cells whose training was degenerate, run again in all intermediate settings with another seed."

    learning_rates: tuple[GivenRate, ...] = ()
    "Of single trainings, chosen on English development rows."

    def rate_of(self, setting: str, target: str = "") -> float | None:
        """The learning rate given for a training; None where the recipe's holds."""
        return next((one.rate for one in self.learning_rates if (one.setting, one.target) == (setting, target)), None)

    def languages_of(self, spec: TaskSpec) -> list[str]:
        """The languages of a task that the run asks for, in the task's order."""
        return [lang for lang in spec.languages if not self.languages or lang in self.languages]

    def seed_of(self, task: str, seed: int) -> int:
        """The seed that a task's cells run with: the one asked for, or the one that replaces it."""
        return next((new for name, old, new in self.replaced if (name, old) == (task, seed)), seed)
