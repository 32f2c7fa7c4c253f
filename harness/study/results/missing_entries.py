"""The scores that a study asks for and does not have, as entries of study.json.

entries = missing_entries(tables)
entries[0]                   # {'setting': 'mnli', 'backbone': 'xlmr-xl', 'target': 'xnli', 'why': ..., 'count': 45, ...}
"""

from harness.api.protocols import Json
from harness.study.results.study_tables import StudyTables
from harness.study.statistics.effects import ScoreKey


def missing_entries(tables: StudyTables) -> list[dict[str, Json]]:
    """One entry a setting, backbone, target and reason."""
    study = tables.study
    found: dict[tuple[str, str, str, str], list[tuple[str, int]]] = {}
    for name in study.arms:
        for member in study.members:
            for cell in study.cells:
                for seed in study.seeds:
                    key = ScoreKey(name, member.rung.backbone, cell, seed)
                    if tables.score(key) is None:
                        place = (name, member.rung.backbone, cell.task, tables.reason(key))
                        found.setdefault(place, []).append((cell.lang, seed))
    return [
        {
            "setting": place[0],
            "backbone": place[1],
            "target": place[2],
            "why": place[3],
            "count": len(cells),
            "languages": list(dict.fromkeys(lang for lang, _ in cells)),
            "seeds": list(dict.fromkeys(seed for _, seed in cells)),
        }
        for place, cells in found.items()
    ]
