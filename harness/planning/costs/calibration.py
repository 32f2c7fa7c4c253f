"""What was measured of the device that is here, kept in the user's cache folder: the command `calibrate` writes it.

    calibration = calibration_of(device)           # None: it was not calibrated, or is not here
    keep_calibration(device, {...})

harness/executors/measuring/calibration.py measures.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from harness.api.cache import cache_folder, recall, remember
from harness.planning.costs.devices import Device
from harness.runtime.stages import canonical
from harness.runtime.threads import NUMBERS, usable_cores


def calibration_of(device: Device) -> Mapping[str, object] | None:
    """What was measured of a device; None where nothing was, or where the device is none of this machine."""
    return (recall(_store(device)) or None) if device.is_here else None


def keep_calibration(device: Device, found: Mapping[str, object]) -> None:
    """Remember what was measured."""
    remember(_store(device), dict(found))


def _store(device: Device) -> Path:
    """The file of a device: by what it is and how many threads compute."""
    threads = next((os.environ[name] for name in NUMBERS if os.environ.get(name)), str(usable_cores()))
    what = [device.spec.description, round(device.spec.memory_gib), threads if device.spec.kind == "cpu" else ""]
    return cache_folder() / "calibrations" / f"{hashlib.sha256(canonical(what).encode()).hexdigest()[:16]}.json"
