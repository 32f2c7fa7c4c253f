"""What computed the scores of a board: adapters, number formats, devices, threads, commits and versions.

ways_of_computing(board)      # {'mini': 'computed in float32 on cpu (1 thread)'}
notes = [*uneven_computing(board), *adapter_notes(board), *versions(board)]
"""

from collections.abc import Mapping, Sequence

from harness.api.protocols import Json
from harness.report.board.number_format import arm_text, collected, listed
from harness.runtime.engines import SERVER


def ways_of_computing(board: Mapping[str, Json]) -> dict[str, str]:
    """Backbone -> the number formats and devices that its scores were computed in, where runs have written that down."""
    trained, predicted = [], []
    models = board["models"]
    for row in (row for row in board["rows"] if models.get(row["model"], {}).get("adapter") != "fake"):
        trained += [(row["model"], way) for name in row["stages"]["train"] for way in _used(board, name)]
        predicted += [(row["model"], way) for way in _used(board, row["stages"]["predict"])]
    before, after = collected(trained), collected(predicted)
    return {model: _said(before.get(model, []), after.get(model, [])) for model in dict.fromkeys([*after, *before])}


def _said(trained: Sequence[str], predicted: Sequence[str]) -> str:
    if not trained or set(trained) == set(predicted):
        return f"computed in {' and '.join(predicted)}"
    scores = f"predicted in {' and '.join(predicted)}" if predicted else ""
    return ", ".join(text for text in (f"trained in {' and '.join(trained)}", scores) if text)


def uneven_computing(board: Mapping[str, Json]) -> list[str]:
    """Tasks whose arms of one backbone were computed on other devices, in another precision or with other threads."""
    ways: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in board["rows"]:
        stages = [board["stages"].get(name or "", {}) for name in (*row["stages"]["train"], row["stages"]["predict"])]
        own = ways.setdefault((row["model"], row["task"]), {}).setdefault(arm_text(row), set())
        own |= {way_of_computing(how) for stage in stages for how in stage.get("arithmetic", ())}
    pairs = []
    for (_, task), arms in ways.items():
        if len({frozenset(found) for found in arms.values() if found}) > 1:
            pairs.append(("; ".join(f"{arm} [{' and '.join(sorted(found))}]" for arm, found in arms.items()), task))
    return [
        f"{', '.join(tasks)}: computed in different ways, so that some of a difference may be rounding: {text}."
        for text, tasks in collected(pairs).items()
    ]


def adapter_notes(board: Mapping[str, Json]) -> list[str]:
    """What loads the backbones, and in which number format on which device their scores were computed."""
    used = ways_of_computing(board)
    models = ((name, model) for name, model in board["models"].items() if model["adapter"] != "fake")
    pairs = [((model["adapter"], used.get(name, "")), name) for name, model in models]
    return [
        (
            f"Loaded by the adapter {adapter}"
            if adapter != SERVER
            else "Answered by a server, in whatever number format that computes"
        )
        + (f", {ways}" if ways else "")
        + f": {listed(names)}."
        for (adapter, ways), names in collected(pairs).items()
    ]


def versions(board: Mapping[str, Json]) -> list[str]:
    """Commits and versions that made the scores."""
    used = sorted({name for stage in board["stages"].values() for name in stage["environments"]})
    texts = []
    for name in used:
        made = board["environments"][name]
        versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
        texts.append(f"Made by commit {made['commit'] or 'unknown'}" + (f" with {versions}." if versions else "."))
    return sorted(texts)


def _used(board: Mapping[str, Json], stage: str | None) -> list[str]:
    """How a stage was computed, the number format first: it is what readers compare."""
    found = []
    for how in board["stages"].get(stage or "", {}).get("arithmetic", ()):
        more = _conditions(how)
        found.append(f"{how['dtype']} on {how['device']}" + (f" ({', '.join(more)})" if more else ""))
    return found


def way_of_computing(how: Mapping[str, Json]) -> str:
    """Device, number format and what else may change the last digits, of one entry of `arithmetic`."""
    return ", ".join([how["device"], how["dtype"], *_conditions(how)])


def _conditions(how: Mapping[str, Json]) -> list[str]:
    """What besides device and number format may change the last digits."""
    parts = [f"{how['threads']} thread" + ("s" if how["threads"] > 1 else "")] if how["threads"] else []
    parts += [f"{how['processes']} processes"] if how["processes"] > 1 else []
    parts += [f"layers on {how['tensor_parallel_size']} devices"] if how.get("tensor_parallel_size", 1) > 1 else []
    return parts if how.get("repeatable", True) else [*parts, "sums in any order"]
