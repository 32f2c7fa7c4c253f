"""What `doctor` looks at, one check after the other: each gives a finding in plain words.

findings = [python_finding(), packages_finding(requirements()[""]), threads_finding()]
[finding for finding in findings if finding.state == FAULT]

Nothing is loaded but torch, nothing is written but a probe, and nothing is asked of the network but whether the hub answers.
"""

import configparser
import contextlib
import os
import platform
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from harness.api.cache import cache_folder, recall, remember
from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.planning.costs.calibration import calibration_of
from harness.planning.costs.devices import GIB, machine_memory, present_device
from harness.runtime.engines import versions, vllm_python
from harness.runtime.outputs import make_output_folder, output_folder
from harness.runtime.provenance import provenance
from harness.runtime.threads import NUMBERS, usable_cores

FINE, NOTE, FAULT = "fine", "note", "fault"
"Nothing to do; something to know; runs are impossible."
OLDEST = (3, 11)
LEAST_DISK = 5
"GiB below which the disk is worth a note: a checkpoint of XLM-R large takes 2.2."
SECONDS = 5.0
"Within which the hub has to answer."
EXTRAS: Mapping[str, str] = {
    "low-bit": "weights in 4 and 8 bits, 8-bit AdamW, GGUF files and checkpoints of compressed-tensors",
    "ray": "`--executor ray`: the stages of a run on the machines of a cluster",
    "browser": "`make test-browser`: the page of a board tried in a browser",
}
"Extras of setup.cfg and what they give."
ELSEWHERE = ("", "dev", "vllm")
"What is no extra to look at here: what every run needs, what only developers need, and vLLM, which has a finding of its own."


class MachineFinding(NamedTuple):
    """One thing that was looked at."""

    what: str
    state: str
    "fine, note or fault."
    found: str
    todo: str = ""


def python_finding() -> MachineFinding:
    """The interpreter, the system, and which xlift this is."""
    here = provenance()
    found = f"xlift {here['versions']['xlift']} (commit {here['commit']}) in {ROOT}; Python {platform.python_version()}"
    found += f" on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST:
        return MachineFinding("python", FAULT, found, f"Python {'.'.join(map(str, OLDEST))} or newer")
    return MachineFinding("python", FINE, found)


def requirements() -> dict[str, list[str]]:
    """Packages with the least version of each, by extra ('' = what every run needs), as the checkout or the installation says."""
    found: dict[str, list[str]] = {}
    if (ROOT / "setup.cfg").is_file():
        settings = configparser.ConfigParser()
        settings.read(ROOT / "setup.cfg", encoding="utf-8")
        found[""] = settings["options"]["install_requires"].split()
        found |= {name: text.split() for name, text in settings["options.extras_require"].items()}
        return found
    for line in metadata.requires("xlift") or ():
        need, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)", marker)
        found.setdefault(extra[1] if extra else "", []).append(need.strip())
    return found


def packages_finding(needs: Sequence[str]) -> MachineFinding:
    """Whether every package is here that a run needs, and new enough."""
    lacking = lacking_of(needs)
    if lacking:
        return MachineFinding(
            "packages", FAULT, "; ".join(lacking), "pip install -c constraints.txt . (in a checkout: make demo)"
        )
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "datasets"))
    return MachineFinding("packages", FINE, f"all {len(needs)} that a run needs; {shown}")


def lacking_of(needs: Iterable[str]) -> list[str]:
    """What of some `name>=version` is absent or too old, in words."""
    found = []
    for need in needs:
        name, _, least = need.partition(">=")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
            continue
        if least and _numbers(version) < _numbers(least):
            found.append(f"{name} {version} is older than {least}")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """2.11.0+cpu -> (2, 11, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def extras_findings(needs: Mapping[str, Sequence[str]]) -> list[MachineFinding]:
    """What more could be done here with packages that are not needed."""
    found = []
    for extra in (name for name in needs if name not in ELSEWHERE):
        gives = EXTRAS.get(extra, "what setup.cfg says of it")
        lacking = lacking_of(needs[extra])
        text = f"not here ({'; '.join(lacking)}); it gives {gives}" if lacking else f"here: {gives}"
        found.append(
            MachineFinding(f"extra {extra}", NOTE if lacking else FINE, text, f"pip install 'xlift[{extra}]'" if lacking else "")
        )
    try:
        python = vllm_python()
        found.append(MachineFinding("vLLM", FINE, f"{versions(python)['vllm']}, by {python}: `--model_args engine=vllm`"))
    except UserError as error:
        found.append(
            MachineFinding(
                "vLLM", NOTE, f"{error.found}; it gives fast answers to prompts by `--model_args engine=vllm`", error.todo
            )
        )
    return found


def device_finding() -> MachineFinding:
    """What models would run on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return MachineFinding(
            "device", FAULT, f"torch cannot be loaded: {str(error)[:200]}", "install torch for this machine anew"
        )
    device = present_device(None)
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    what = f"{device.spec.description}, {device.spec.memory_gib:.1f} GiB; computes in {device.dtype('auto')}"
    calibrated = "" if calibration_of(device) else "; its speed was not measured: hours of plans are reckoned from its peak"
    todo = "" if calibration_of(device) else "run_eval.py calibrate (a minute)"
    if device.spec.kind == "gpu" and not number:
        found = f"{device.spec.description} is here, but this torch ({torch.__version__}) cannot use it: runs take the processors"
        return MachineFinding("device", NOTE, found, "install torch with CUDA, or look at the driver (nvidia-smi)")
    if number:
        what = f"{number} GPUs, the first: {what}" if number > 1 else what
        return MachineFinding("device", FINE, what + calibrated, todo)
    if torch.backends.mps.is_available():
        return MachineFinding("device", FINE, f"Apple's GPU (mps); beside it {what}")
    return MachineFinding("device", NOTE, f"no GPU: {what}{calibrated}", todo)


def threads_finding() -> MachineFinding:
    """How many threads compute, and whether something else does."""
    number = next((os.environ[name] for name in NUMBERS if os.environ.get(name)), "?")
    cores, load = usable_cores(), os.getloadavg()[0]
    memory = f"{machine_memory() / GIB:.1f} GiB of memory"
    found = f"{number} threads on {cores} cores, {memory}; load {load:.1f}"
    if number.isdigit() and int(number) > cores:
        return MachineFinding(
            "threads", NOTE, f"{found}: threads wait for each other", f"OMP_NUM_THREADS={cores}, or leave it out"
        )
    if load > 1.5 * cores:
        return MachineFinding("threads", NOTE, f"{found}: other programs compute as well, runs will be slow")
    return MachineFinding("threads", FINE, found)


def hub_finding(*, offline: bool, seconds: float = SECONDS) -> MachineFinding:
    """Whether the hub answers; not asked where the environment says offline."""
    from huggingface_hub import constants

    cache = f"what is in {constants.HF_HUB_CACHE} serves"
    if offline:
        return MachineFinding("hub", NOTE, f"offline, by $HF_HUB_OFFLINE or $HF_DATASETS_OFFLINE: nothing is downloaded, {cache}")
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds):
            return MachineFinding("hub", FINE, f"{constants.ENDPOINT} answers")
    except urllib.error.HTTPError:  # an answer
        return MachineFinding("hub", FINE, f"{constants.ENDPOINT} answers")
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))[:100]
        found = f"{constants.ENDPOINT} does not answer ({why}): nothing can be downloaded, {cache}"
        return MachineFinding("hub", NOTE, found, "HF_HUB_OFFLINE=1 spares the waiting; --data_dir names a mirror")


def output_finding(path: str) -> MachineFinding:
    """Whether a run could write where it would, and how much room there is."""
    try:
        folder = output_folder(path, where="--output_path")
        make_output_folder(_nearest(folder), where="--output_path")  # really written to; what is not there is not made
    except UserError as error:
        return MachineFinding("output", FAULT, " ".join(str(error).split()), "another --output_path")
    return _room("output", folder, f"{folder.absolute()} can be written")


def cache_finding() -> MachineFinding:
    """Whether what is worth remembering can be kept."""
    folder = cache_folder()
    probe = folder / "doctor.json"
    remember(probe, {"probe": os.getpid()})
    is_kept = recall(probe) == {"probe": os.getpid()}
    with contextlib.suppress(OSError):
        probe.unlink()
    if not is_kept:
        found = f"{folder} cannot be written: hashes and counts are made anew by each command"
        return MachineFinding("cache", NOTE, found, "XLIFT_CACHE_DIR=/a/folder/that/can/be/written")
    return _room("cache", folder, f"{folder} can be written")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _room(what: str, folder: Path, text: str) -> MachineFinding:
    """How much a disk still takes."""
    free = shutil.disk_usage(_nearest(folder)).free / GIB
    found = f"{text}, {free:,.1f} GiB free"
    return (
        MachineFinding(what, NOTE, found, "make room, or --keep none") if free < LEAST_DISK else MachineFinding(what, FINE, found)
    )
