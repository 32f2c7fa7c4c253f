"""A study: a ladder of backbones, intermediate settings, targets, and hypotheses that are fixed beforehand.

    study: my_ladder
    families: {XLM-R: {backbones: [xlm-roberta-base, xlm-roberta-large, xlm-roberta-xl]}}
    intermediate: [mnli]
    tasks: [tydiqa]
    verdicts: {reference: 3.0e8, target: 3.0e9, margin: 1.0}
    hypotheses:
      - {name: MNLI persists, asks: scale, settings: mnli}

What is tested, by which margin and how often it is looked at stands in the file, so that it is settled before the first number.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from harness.specs.model import LARGEST, Spec

BASELINE = "none"
MAIN_METHOD = "full"


def _listed(value: Any) -> Any:
    """One name may stand for a list of it."""
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Size = Annotated[float, Field(gt=0, lt=LARGEST)]
"Number of non-embedding parameters."


class LearningRates(Spec):
    """A grid of learning rates: one is chosen for each backbone, setting and target by English development rows."""

    intermediate: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    "Of intermediate phases; chosen by the development score of the intermediate task. Empty = the recipe's."
    target: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    "Of targets, for each setting anew; chosen by the target's English development score. Empty = the recipe's."


class StudyMethod(Spec):
    """A way of training."""

    recipe: str = "xtreme_2020"
    "Hyper-parameters (see `ls recipes`)."
    model_args: str = ""
    "As --model_args, e.g. lora_rank=16,lora_alpha=32."
    learning_rates: LearningRates = LearningRates()
    "Grid of learning rates; empty = the recipe's."


def _backbone(value: Any) -> Any:
    """A model alone may stand for a backbone."""
    return {"model": value} if isinstance(value, str) else value


class StudyBackbone(Spec):
    """A backbone of a ladder."""

    model: str
    "A preset, a hub id or a folder."
    size: Size | None = None
    "Non-embedding parameters, where neither a preset nor the headers of its weights say them."
    recipe: str | None = None
    "Instead of the method's; told as something that changes with size."
    model_args: str = ""
    "Laid over those of method, family and size."


class StudyFamily(Spec):
    """Backbones of the same data and recipe of pretraining, that differ in size; all are trained by one method."""

    backbones: tuple[Annotated[StudyBackbone, BeforeValidator(_backbone)], ...] = Field(min_length=1)
    "Any order; sizes decide."
    method: str = MAIN_METHOD
    "One of `methods`."
    route: Literal["", "head", "prompt"] = ""
    "As --route."
    prompt_args: str = ""
    "As --prompt_args."
    model_args: str = ""
    "Laid over those of the method."
    contamination: Literal["none", "known", "unknown"] = "unknown"
    "Whether its pretraining saw the tasks' rows; verdicts are given without families where it did or may have, too."
    note: str = ""
    "What is known of that, and where it stands."


class StudyOverride(Spec):
    """What changes for backbones from a size on."""

    from_size: Size
    "Non-embedding parameters from which it holds."
    recipe: str | None = None
    "Instead of the method's."
    model_args: str = ""
    "Laid over those of method and family."


class CellGroup(Spec):
    """Cells that a lift is averaged over; without any key all targets in all languages but English."""

    target: str | None = None
    "One target."
    category: str | None = None
    "A group of `categories`."
    family: str | None = None
    "Languages of a family."
    script: str | None = None
    "Languages of a script."
    covered: Literal["covered", "not covered"] | None = None
    "Languages that the backbone's pretraining held, or did not."

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError("give one of target, category, family, script and covered")
        return self

    @property
    def place(self) -> tuple[str, str]:
        """Kind and name, as tables of lifts have them."""
        return next(((key, str(value)) for key, value in self if value is not None), ("zero_shot", "all targets"))


class Hypothesis(Spec):
    """A claim that the study decides."""

    name: str
    "What is claimed, in a few words."
    asks: Literal["scale", "helps", "no_effect", "better", "no_better", "ranking"]
    """scale: what becomes of the lift between the reference and the target size; helps: the lift is above 0; no_effect: it is
    within the margin; better: above that of `than`; no_better: not above it by the margin; ranking: `settings` stand in this
    order."""
    settings: Names = Field(min_length=1)
    "Intermediate settings, or names of `chosen`; several are averaged, unless `each`."
    than: Names = ()
    "With better and no_better: the settings on the other side, each for itself."
    over: CellGroup = CellGroup()
    "The cells."
    than_over: tuple[CellGroup, ...] = ()
    "With better and no_better in place of `than`: other cells of the same settings, each for itself."
    each: bool = False
    "It must hold of every setting, not of their mean."
    at: Literal["mean", "reference", "target"] = "mean"
    "Of a claim that is not of scale: the mean of all backbones, or the lines at a size."

    @model_validator(mode="after")
    def _fits(self) -> Self:
        compares = self.asks in ("better", "no_better")
        if compares != bool(self.than or self.than_over):
            raise ValueError("better and no_better need `than` or `than_over`, the others take neither")
        if self.than and self.than_over:
            raise ValueError("give `than` or `than_over`, not both")
        if self.asks == "ranking" and len(self.settings) < 2:
            raise ValueError("a ranking needs at least two settings")
        if self.asks == "scale" and self.at != "mean":
            raise ValueError("`at` goes with claims that are not of scale")
        if self.each and self.asks in ("ranking", "scale"):
            raise ValueError("`each` goes with helps, no_effect, better and no_better: write one hypothesis a setting")
        return self


class Verdicts(Spec):
    """What decides: fixed before the first number is seen."""

    scale: Literal["points", "headroom", "logit"] = "points"
    "Scale of the lifts; the others are told where they say something else."
    reference: Size | None = None
    "Size from which a lift is followed; without it no hypothesis asks of scale."
    target: Size | None = None
    "Size to which it is followed."
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    "Smallest effect of interest, in units of the scale."
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    "Error level of all hypotheses together."
    correction: Literal["holm", "fdr", "none"] = "holm"
    "How it is shared between them."
    looks: int = Field(default=1, ge=1, le=20)
    "How often the results may be looked at: more seeds or backbones after a look make the next."
    families: Literal["these", "at_large"] = "these"
    "Whether verdicts speak of these families or take them as a sample of families."

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if (self.reference is None) != (self.target is None):
            raise ValueError("give both 'reference' and 'target', or neither")
        if self.reference is not None and self.reference == self.target:
            raise ValueError("'reference' and 'target' are the same size")
        return self


class StudySpec(Spec):
    """A ladder of backbones and the questions put to it."""

    study: str
    "Name on the command line."
    description: str
    "What it asks, in one or two sentences."
    note: str = ""
    "What a reader of its verdicts must know, e.g. that the backbones are damaged on purpose."
    methods: dict[str, StudyMethod] = {MAIN_METHOD: StudyMethod()}
    "Name -> a way of training."
    families: dict[str, StudyFamily] = Field(min_length=1)
    "Name -> a ladder of sizes."
    overrides: tuple[StudyOverride, ...] = ()
    "By size; the later win."
    bridges: Names = ()
    "Models that are trained by every method, so that methods can be told from sizes; in no line."
    intermediate: Names = Field(min_length=1)
    "Settings as --intermediate takes them; `none` is the baseline and need not be named."
    chosen: dict[str, Names] = {}
    "Name -> settings among which each target takes the one with the best English development score."
    tasks: Names = Field(min_length=1)
    "Targets: tasks, groups and globs."
    categories: Names = ("classification", "tagging", "tagging_hub", "qa", "retrieval")
    "Groups of targets whose lifts are given too."
    languages: Names = ()
    "Only these test languages."
    limit: int | None = Field(default=None, ge=1, lt=LARGEST)
    "Seeded sample of so many test rows per language; marks every number as partial."
    seeds: tuple[int, ...] = Field(min_length=1)
    "Training seeds."
    trial_seeds: tuple[int, ...] = (101,)
    "Training seeds of the trials of learning rates: none of `seeds`, so that no reported score chose its own rate."
    retrieval_layers: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    "Fractions of depth at which retrieval is scored as well; shown, not tested."
    references: Names = ()
    "Published numbers to stand beside score curves (see `ls references`)."
    verdicts: Verdicts
    "Scale, sizes, margin, level."
    hypotheses: tuple[Hypothesis, ...] = ()
    "What is claimed."
    provenance: dict[str, str] = {}
    "Key path (or its beginning) -> where the value comes from, with an evidence tag."

    @property
    def settings(self) -> tuple[str, ...]:
        """The intermediate settings, the baseline first."""
        return (BASELINE, *(name for name in self.intermediate if name != BASELINE))
