"""What stages need of a cluster whose devices are known: what their plans say.

needs_of = planned_needs(plans, ClusterOptions(cpus_per_stage=8), machine=machine, device=device)
needs_of(stage).num_processes
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.executors.cluster.needs import default_needs
from harness.executors.cluster.options import ClusterOptions
from harness.planning.costs.devices import Device
from harness.planning.costs.needs import stage_needs
from harness.planning.plan import Plan
from harness.runtime.arguments import PredictArguments, TrainArguments
from harness.runtime.machine import Machine
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage, canonical

LOADS = (TrainArguments, PredictArguments)
"Arguments of stages that load a model."


def planned_needs(
    plans: Sequence[Plan], options: ClusterOptions, *, machine: Machine, device: Device
) -> Callable[[AnyStage], StageNeeds]:
    """What a stage needs by the plan of its model: processes and main memory of the plan, cores of the flag."""
    by_model = {canonical(plan.backbone.arguments.json()): plan for plan in plans}
    others = default_needs(options, has_gpus=device.spec.kind == "gpu")

    def needs_of(stage: AnyStage) -> StageNeeds:
        plan = by_model.get(canonical(stage.args.model.json())) if isinstance(stage.args, LOADS) else None
        if plan is None:
            return others(stage)
        needs = stage_needs(plan, stage, machine=machine, device=device)
        processes = max(needs.num_processes, options.processes_per_stage)
        return replace(needs, num_processes=processes, cpus_each=options.cpus_per_stage)

    return needs_of
