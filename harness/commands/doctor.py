"""Look whether this machine can run what xlift runs: versions, devices, hub, mirror, disk, packages; in plain words.

python run_eval.py doctor
python run_eval.py doctor --data_dir mirror/ --output_path /scratch/runs       # as a run would be told
python run_eval.py doctor --json

Exit code 0, unless something makes runs impossible (a fault): then 1.
"""

import argparse
import json
from pathlib import Path

from harness.api.errors import UserError
from harness.commands._arguments import add_catalog_arguments, new_catalog, out, place_of
from harness.commands._machine_checks import (
    FAULT,
    FINE,
    NOTE,
    MachineFinding,
    cache_finding,
    device_finding,
    extras_findings,
    hub_finding,
    output_finding,
    packages_finding,
    python_finding,
    requirements,
    threads_finding,
)
from harness.commands._table import paragraphs, table
from harness.data.locations import DATA_DIR_VARIABLE, DataPlace
from harness.data.mirror_splits import split_parts, together
from harness.data.rows import filled
from harness.planning.catalog.catalog import Catalog
from harness.specs.task import TaskSpec

HELP = "look whether this machine has what runs need, in plain words"
SHOWN = 8
"Tasks that are named at most where their rows are not found."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a run would read and write, and --json."""
    add_catalog_arguments(parser)
    parser.add_argument("--output_path", default="runs", metavar="DIR", help="folder that a run would write to (default: runs)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Print a line for each thing that was looked at; 1 if runs are impossible."""
    catalog = new_catalog(args, args.include_path)
    needs = requirements()
    place, mirror = _mirror(args, catalog)
    findings = [
        python_finding(),
        packages_finding(needs[""]),
        device_finding(),
        threads_finding(),
        hub_finding(offline=place is not None and place.offline),
        mirror,
        output_finding(args.output_path),
        cache_finding(),
        *extras_findings(needs),
    ]
    faults = [finding for finding in findings if finding.state == FAULT]
    if args.json:
        out(json.dumps({"possible": not faults, "findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        out(table(["", "what", "found", "to do"], [[each.state, each.what, each.found, each.todo] for each in findings]))
        out("\n" + paragraphs(_verdict(faults)))
    return 1 if faults else 0


def _verdict(faults: list[MachineFinding]) -> str:
    if faults:
        return f"Runs are impossible before this is mended: {', '.join(each.what for each in faults)}."
    return "Runs are possible.  Try one: run_eval.py --model oracle --tasks mini/nli"


def _mirror(args: argparse.Namespace, catalog: Catalog) -> tuple[DataPlace | None, MachineFinding]:
    """Where data are looked for, and which tasks find their test rows on this machine without the hub."""
    try:
        place = place_of(args, runs=[Path(args.output_path)])
    except UserError as error:
        return None, MachineFinding(
            "mirror", FAULT, " ".join(str(error).split()), f"another --data_dir, or none (${DATA_DIR_VARIABLE})"
        )
    specs = [spec for name in catalog.names("task") if (spec := catalog.task(name).spec).data.test]
    real = [spec for spec in specs if not any(source.world for source in spec.data.test)]
    if place.data_dir is None:
        found = f"none: neither --data_dir nor ${DATA_DIR_VARIABLE} is set; rows come from the hub or its cache"
        return place, MachineFinding(
            "mirror", NOTE, found, "run_eval.py fetch ... on a machine that reaches the hub; see docs/offline.md"
        )
    there = [spec.task for spec in real if _is_there(spec, place, catalog)]
    absent = [spec.task for spec in real if spec.task not in there]
    found = f"{place.data_dir}: the test rows of {len(there)} of {len(real)} tasks are there"
    if absent:
        found += f"; not those of {', '.join(absent[:SHOWN])}{', ...' if len(absent) > SHOWN else ''}"
    return place, MachineFinding(
        "mirror", FINE if there else NOTE, found, "" if there else "docs/offline.md says how a mirror is laid out"
    )


def _is_there(spec: TaskSpec, place: DataPlace, catalog: Catalog) -> bool:
    """Whether the test rows of every language lie in the mirror or beside the task's file."""
    folder = catalog.folder("task", spec.task)
    for lang in spec.languages:
        for source in (filled(one, lang) for one in spec.data.test):
            try:
                if source.files is not None:
                    place.local_files(source.files, task=spec.task, lang=lang, task_folder=folder)
                elif not together(split_parts(source, place=place)).paths:
                    return False
            except UserError:
                return False
    return True
