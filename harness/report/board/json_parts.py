"""How estimates, seeds and arms stand in leaderboard.json.

interval(estimate)            # {'value': 71.0, 'low': 66.5, 'high': 75.5}, or None
"""

from collections.abc import Mapping

from harness.api.protocols import Json
from harness.report.board.means import Arm
from harness.scoring.bootstrap import BootstrapEstimate, summarise


def interval(estimate: BootstrapEstimate | None) -> Json:
    """A number with its interval."""
    return None if estimate is None else summarise(estimate)._asdict()


def arm_names(arm: Arm) -> dict[str, Json]:
    """The values by which the lines of a board differ."""
    return dict(arm._asdict())


def seed_list(seeds: Mapping[int | None, float]) -> list[Json]:
    """The score of each seed."""
    return [{"seed": seed, "score": score} for seed, score in seeds.items()]
