"""The page of a board as one HTML file that needs no network: verdicts of studies first, then scores, lifts, cells, trainings.

    text = page(build_board(folders), folders, examples=ShownExamples())
    write_page(text, Path("report.html"))

The same board and folders give the same bytes.  Templates, style and scripts lie beside this file; charts are drawn by Vega-Lite,
whose script comes from the package vl-convert-python.  Every text of others is escaped: in HTML by the templates, in the data by
spelling out whatever could end a script.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from harness.api.escaping import visible
from harness.api.protocols import Json
from harness.report.board.legend import legend
from harness.report.board.notes import notes
from harness.report.board.table_rows import Lines
from harness.report.page.board_charts import lift_forest, size_chart, training_charts
from harness.report.page.board_tables import score_table, standing_tables
from harness.report.page.board_words import in_short, missing_languages, notices
from harness.report.page.cells import cell_table
from harness.report.page.examples import ShownExamples
from harness.report.page.language_names import language_rows
from harness.report.page.stage_table import StageTable
from harness.report.page.study_part import study_part
from harness.report.page.texts import Once
from harness.report.page.training_curves import training_curves

HERE = Path(__file__).parent
SCRIPTS = ("start", "theme", "tables", "colours", "filters", "heat_map", "cell_list", "provenance", "charts")
"Script files, in the order in which they are joined."
_ACTING = re.compile("[<>&\u2028\u2029]")
"What in a script could be taken for markup, or end a line of it."


def page(board: Mapping[str, Json], folders: Sequence[Path], *, examples: ShownExamples | None = None) -> str:
    """The whole file; `folders` are those that the board is of: logs of trainings and study.json are read there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    board, shown = spelled_out(board), examples or ShownExamples()
    lines = Lines(board)
    curves, without_log = training_curves(board, folders)
    parts = [study_part(folder) for folder in folders]
    studies = [spelled_out(study) for study, _ in parts if study]
    lifts, sizes, trainings = lift_forest(lines), size_chart(lines), training_charts(curves)
    charts = [*(chart for study in studies for chart in study["charts"]), *filter(None, (lifts, sizes)), *trainings]
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=", ".join(study["name"] for study in studies) or ", ".join(_name(folder) for folder in folders),
        folders=[_name(folder) for folder in folders],
        damaged_studies=[visible(wrong) for _, wrong in parts if wrong],
        notices=(told := notices(board)),
        told_twice={"synthetic", "partial"} & {notice["kind"] for notice in told},
        studies=studies,
        short=None if studies else in_short(lines),
        legend=legend(board),
        scores=score_table(lines),
        standings=standing_tables(lines),
        lifts=lifts,
        sizes=sizes,
        trainings=trainings,
        without_log=without_log,
        missing=missing_languages(lines),
        notes=notes(board),
        has_examples=bool(shown.entries),
        data=script_text({**_cells(lines, shown), "charts": charts}),
        style=_own("page.css"),
        script="\n".join(_own(f"{name}.js") for name in SCRIPTS),
        drawing=drawing_script() if charts else "",
    )


def write_page(text: str, path: Path) -> None:
    """Write the file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _cells(lines: Lines, shown: ShownExamples) -> dict[str, Any]:
    """What the heat map, the list of cells and their provenance are drawn from."""
    board, texts, shared = lines.board, Once(), Once()
    stages = StageTable(board["stages"], once=shared)
    table = cell_table(lines, stages=stages, texts=texts, examples=shown.numbers)
    langs = dict.fromkeys(lang for task in board["task_order"] for lang in board["tasks"][task]["languages"])
    langs |= dict.fromkeys(entry["lang"] for entry in (*table["cells"], *table["missing"]))
    return {
        "level": board["bootstrap"]["level"],
        "arms": [{"model": arm["model"], "setting": lines.label(arm)} for arm in lines.arms],
        "tasks": [
            {"name": task, **{key: board["tasks"][task][key] for key in ("type", "chance", "languages", "description")}}
            for task in board["task_order"]
        ],
        "languages": language_rows(langs),
        **table,
        "stages": stages.entries,
        "shared": shared.values,
        "environments": board["environments"],
        "texts": texts.values,
        "examples": spelled_out(shown.entries),
    }


def script_text(value: Any) -> str:
    r"""JSON for a script element: no text in it, `</script>` or `<!--` included, can end the element."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:  # a loss that ran away, or a number that somebody wrote
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _finite(value: Any) -> Any:
    """The same with NaN and infinities as text, for which JSON has no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def spelled_out(document: Any) -> Any:
    """A document whose texts, keys included, hold nothing that acts on a page without being seen."""
    if isinstance(document, str):
        return _visible(document)
    if isinstance(document, Mapping):
        return {spelled_out(key): spelled_out(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [spelled_out(value) for value in document]
    return document


_visible = lru_cache(maxsize=1 << 16)(partial(visible, tabs=True))


@cache
def drawing_script() -> str:
    """Vega, Vega-Lite and vega-embed in one script, as the package has them."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")


def _name(folder: Path) -> str:
    return visible(folder.resolve().name)


def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
