"""Workers of a driver that was killed: Ray ends them, and until it has, nobody else begins with their stages.

end_workers(ray, "xlift/3f2a9c-1-0")          # what the driver wrote beside the stage that they worked on
"""

import contextlib
import time
from typing import Any

SECONDS = 60.0


def end_workers(ray: Any, text: str) -> None:
    """End the actors that are named, `namespace/name` a line, and wait until none is there."""
    for line in text.split():
        namespace, _, name = line.partition("/")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                actor = ray.get_actor(name, namespace=namespace)
            except ValueError:  # there is none any more
                break
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(actor, no_restart=True)
            time.sleep(0.1)
