"""All figures of a board, and of the studies that lie beside it, with their captions in figures.md.

write_figures(board, Path("figures"), studies=studies_of([Path("runs/x")]))          # returns the paths
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.api.escaping import markdown_text
from harness.api.protocols import Json
from harness.report.figures.dots import lift_figures, score_figures
from harness.report.figures.language_map import language_figures
from harness.report.figures.scaling import study_figures
from harness.report.figures.study_numbers import StudyNumbers, read_study
from harness.report.figures.style import Drawn, drawing, save
from harness.runtime.stages import write_text

STUDY_FILE = "study.json"
CAPTIONS_FILE = "figures.md"
SYNTHETIC = "Synthetic world: these scores are of made-up languages, not for claims about models."


def studies_of(runs: Sequence[Path]) -> list[StudyNumbers]:
    """The studies of some run folders; raises UserError for a study.json that cannot be read."""
    return [read_study(run / STUDY_FILE) for run in runs if (run / STUDY_FILE).is_file()]


def write_figures(board: Mapping[str, Json], folder: Path, *, studies: Sequence[StudyNumbers] = ()) -> list[Path]:
    """Write every figure as SVG and PNG, and figures.md; raises UserError where matplotlib is not there."""
    paths: list[Path] = []
    captions = []
    with drawing():
        for drawn in _all(board, studies):
            paths += save(drawn.figure, folder, drawn.name)
            captions.append(f"- `{drawn.name}`: {markdown_text(drawn.caption)}")
    paths.append(folder / CAPTIONS_FILE)
    about = "Each is there as SVG, with its letters as paths, and as PNG."
    about += f"\n\n{SYNTHETIC}" if board["synthetic"] else ""
    write_text(paths[-1], f"# Figures\n\n{about}\n\n" + "\n".join(captions) + "\n")
    return paths


def _all(board: Mapping[str, Json], studies: Sequence[StudyNumbers]) -> Iterator[Drawn]:
    yield from score_figures(board)
    yield from lift_figures(board)
    yield from language_figures(board)
    for number, study in enumerate(studies, start=1):
        yield from study_figures(study, prefix="scaling" if len(studies) == 1 else f"scaling-{number}")
