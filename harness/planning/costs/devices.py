"""The devices that a plan is made for: those of the table (tasks/devices, --include_path), and the one that is here.

    devices = named_device("h100-80gb:4", catalog=catalog)        # Device(spec, count=4)
    device = present_device("cuda:0")                             # the one of this machine; no torch is imported
    device.memory, device.peak("bfloat16"), device.dtype("auto")

Processors are the device where no GPU is: their memory is that of the machine, or what its cgroups allow.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from harness.api.errors import UserError
from harness.planning.catalog.catalog import Catalog
from harness.runtime.threads import usable_cores
from harness.specs.device import DeviceSpec

WHERE = "--on"
GIB = 1 << 30
CLOCK = 2.5e9
"Cycles a second of processors that do not say."
OWN_SOURCE = "of this machine: cores x clock x operations a cycle (AVX-512: 64 in fp32, AVX2: 32), reckoned"
CPU_BANDWIDTH = 20.0
"10^9 bytes a second that two channels of a machine's memory give: an assumption, which a calibration replaces."


@dataclass(frozen=True, kw_only=True)
class Device:
    """What stages are planned for."""

    spec: DeviceSpec
    count: int = 1
    "How many of it work together."
    is_here: bool = False

    @property
    def memory(self) -> int:
        """Bytes of one."""
        return int(self.spec.memory_gib * GIB)

    @property
    def name(self) -> str:
        """As it is written after --on."""
        return f"{self.spec.device}:{self.count}" if self.count > 1 else self.spec.device

    def peak(self, precision: str) -> float:
        """Operations a second of one in a precision; where the hardware has none of it, those of fp32."""
        spec = self.spec
        found = {"bfloat16": spec.bfloat16_tflops, "float16": spec.float16_tflops or spec.bfloat16_tflops}
        return (found.get(precision) or spec.float32_tflops) * 1e12

    def dtype(self, wanted: str) -> str:
        """`auto` settled for the device, as Machine.dtype does it for this machine."""
        return wanted if wanted != "auto" else "bfloat16" if self.spec.bfloat16_tflops else "float32"


def named_device(text: str, *, catalog: Catalog) -> Device:
    """The device of `name` or `name:count`; UserError for a name or number that is none."""
    name, colon, number = text.partition(":")
    if name == "here":
        spec = present_device(None).spec
        return Device(spec=spec, count=_count(number, colon, text), is_here=True)
    entry = catalog.device(name, where=WHERE)
    return Device(spec=entry.spec, count=_count(number, colon, text))


def _count(number: str, colon: str, text: str) -> int:
    if not colon:
        return 1
    if not (number.isascii() and number.isdecimal()) or not 1 <= int(number) < 1 << 20:
        raise UserError("no number of devices", where=WHERE, expected="e.g. h100-80gb:4", found=text)
    return int(number)


def present_device(name: str | None) -> Device:
    """The device of this machine that `--device` names, by default its first GPU, else its processors."""
    if name is None or name.startswith("cuda"):
        cards = _graphics_cards()
        number = int(name.partition(":")[2] or 0) if name else 0
        if number < len(cards):
            return Device(spec=cards[number], is_here=True)
    return Device(spec=_processors(), is_here=True)


@cache
def _graphics_cards() -> tuple[DeviceSpec, ...]:
    """NVIDIA's, as nvidia-smi lists them; peaks come from the table, where that has the card."""
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ()
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(spec for line in lines if (spec := _card(line)))


def _card(line: str) -> DeviceSpec | None:
    """A line of nvidia-smi: `NVIDIA H100 80GB HBM3, 81559`."""
    name, _, memory = line.rpartition(",")
    if not memory.strip().isdecimal() or int(memory) < 1:
        return None
    gib = int(memory) / 1024
    table = Catalog()
    near = [table.device(each).spec for each in table.names("device")]
    words = name.lower().replace("-", " ").split()
    fitting = [
        spec
        for spec in near
        if spec.device.split("-")[0] in words
        and abs(spec.memory_gib - gib) < 0.1 * gib
        and ("pcie" in words) == ("pcie" in spec.device)
    ]
    if fitting:
        return fitting[0].model_copy(update={"memory_gib": gib})
    return DeviceSpec(
        device="here",
        description=name.strip(),
        memory_gib=gib,
        float32_tflops=15,
        bandwidth_gbs=500,
        source=f"{name.strip()} is not in the table of devices: its peaks are assumed",
    )


def _processors() -> DeviceSpec:
    """The processors of this machine that may be used, and their memory."""
    cores = usable_cores()
    flags, clock = _cpu_facts()
    lanes = 64 if "avx512f" in flags else 32 if "avx2" in flags else 8
    halves = 512 if "amx_bf16" in flags else 2 * lanes if "avx512_bf16" in flags else None
    reckoned = cores * clock / 1e12
    return DeviceSpec(
        device="here",
        kind="cpu",
        description=f"{cores} cores of this machine",
        memory_gib=machine_memory() / GIB,
        float32_tflops=reckoned * lanes,
        bfloat16_tflops=reckoned * halves if halves else None,
        bandwidth_gbs=CPU_BANDWIDTH,
        cores=cores,
        source=OWN_SOURCE,
    )


def _cpu_facts() -> tuple[set[str], float]:
    """The flags of the first processor and its clock, as Linux says them."""
    flags: set[str] = set()
    clock = CLOCK
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags" and not flags:
            flags = set(value.split())
        if key.strip() == "cpu MHz" and clock == CLOCK:
            clock = float(value) * 1e6
    return flags, clock


def machine_memory(*, system: Path = Path("/")) -> int:
    """Bytes of main memory in all, or what the cgroups of this process allow; never what is free just now."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [total]
    for line in _read(system / "proc/self/cgroup").splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            top, file = system / "sys/fs/cgroup", "memory.max"
        elif "memory" in names.split(","):
            top, file = system / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / path.lstrip("/")
        for each in (folder, *folder.parents):
            text = _read(each / file).strip()
            limits += [int(text)] if text.isdecimal() and int(text) > 0 else []
            if each == top:
                break
    return min(limits)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def several(device: Device, count: int) -> Device:
    """So many of a device."""
    return replace(device, count=count)
