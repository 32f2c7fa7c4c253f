"""What a stage needs of a cluster: how many processes, on what.

StageNeeds(num_processes=4, gpus_each=1, cpus_each=2, memory_each=70 << 30)
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StageNeeds:
    """The machine that one stage is given; chosen for a machine and so part of no key."""

    num_processes: int = 1
    "Processes that work on the stage together, each on devices of its own."
    gpus_each: float = 0
    "GPUs of each process; a part of one where several stages share it."
    cpus_each: int = 1
    "Cores of each process, and its threads."
    memory_each: int = 0
    "Bytes of main memory of each process; 0 = not known."
