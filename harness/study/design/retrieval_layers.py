"""Retrieval at other layers of a backbone, as fractions of its depth: shown beside the study's scores, never tested.

    for layer in layer_plans(design, plan, catalog=catalog, place=place):
        layer.fraction, layer.plan.cells

Only targets that are asked for vectors have layers to choose from; what trains before them is the study's own.
"""

from dataclasses import replace
from typing import NamedTuple

from harness.data.locations import DataPlace
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import Plan, make_plan
from harness.specs.key_values import merged_key_values
from harness.study.design.design import StudyDesign

EMBEDDING = "embedding"
LAST = -1
"The last layer, which no fraction between 0 and 1 is."


class LayerPlan(NamedTuple):
    """The cells of a member at one layer."""

    fraction: float
    plan: Plan


def layer_plans(design: StudyDesign, whole: Plan, *, catalog: Catalog, place: DataPlace) -> list[LayerPlan]:
    """A plan for each fraction of depth, from that of all cells of a member; none where no target is asked for vectors."""
    if not design.spec.retrieval_layers:
        return []
    tasks = [name for name, task in whole.tasks.items() if task.route.name == EMBEDDING]
    if not tasks:
        return []
    found: list[LayerPlan] = []
    for fraction in design.spec.retrieval_layers:
        layer = LAST if fraction == 1 else fraction
        args = merged_key_values(whole.request.model_args, f"layer={layer:g}")
        asked = replace(whole.request, tasks=",".join(tasks), model_args=args)
        found.append(LayerPlan(fraction, make_plan(asked, catalog=catalog, place=place)))
    return found
