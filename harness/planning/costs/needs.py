"""What stages need of a cluster: processes, GPUs, cores and main memory, for a device by name.

needs = stage_needs(plan, stage, machine=machine, device=named_device("h100-80gb", catalog=catalog))
needs.num_processes, needs.gpus_each
"""

from dataclasses import replace

from harness.planning.costs.devices import Device
from harness.planning.costs.estimate import costing_of
from harness.planning.costs.memory import PARTS, Layout
from harness.planning.costs.refusals import PROCESSES
from harness.planning.plan import Plan
from harness.runtime.arguments import PredictArguments, TrainArguments
from harness.runtime.machine import Machine
from harness.runtime.needs import StageNeeds
from harness.runtime.stages import AnyStage

SMALL = 2 << 30
"Bytes of main memory of a stage that loads no model, and of a process on a GPU beside what it reads of weights."


def stage_needs(plan: Plan, stage: AnyStage, *, machine: Machine, device: Device) -> StageNeeds:
    """What a stage needs where such devices are: a training that fits none alone gets as many as hold it sharded.

    A stage that loads no model needs a core; so does everything of a backbone whose sizes are not known, with one device.
    """
    if not isinstance(stage.args, TrainArguments | PredictArguments):
        return StageNeeds(memory_each=SMALL)
    costing = costing_of(plan, machine=machine, device=device, counts=False)
    on_gpu = device.spec.kind == "gpu"
    cores = device.spec.host_cores if on_gpu else device.spec.cores or 1
    if costing is None:
        return StageNeeds(gpus_each=1 if on_gpu else 0, cpus_each=cores)
    processes, cost = costing.layout.processes, costing.stage(stage)
    if cost is None:  # a fake
        return StageNeeds(memory_each=SMALL)
    if isinstance(stage.args, TrainArguments) and cost.least.total > device.memory:
        for number in PROCESSES:
            sharded = replace(machine, sharding="full")
            layout = Layout(processes=number, sharding="full", offload=costing.layout.offload)
            tried = costing_of(plan, machine=sharded, device=device, layout=layout, counts=False)
            found = tried.stage(stage) if tried else None
            if found and found.least.total <= device.memory:
                processes, cost = number, found
                break
    weights = sum(getattr(cost.least, part) for part in PARTS[:1])
    main = cost.memory.on_host + (SMALL + weights if on_gpu else max(cost.memory.total, SMALL))
    return StageNeeds(num_processes=processes, gpus_each=1 if on_gpu else 0, cpus_each=cores, memory_each=main)
