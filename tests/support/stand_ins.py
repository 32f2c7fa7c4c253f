"""Files that stand where the data of tasks would lie, for plans that are real: they read fingerprints, no rows.

write_stand_ins(tmp_path, ["xnli", "tatoeba"], catalog=Catalog([]))     # a --data_dir
"""

import re

from harness.data.rows import filled, languages_read

SPLITS = ("train", "validation", "test", "translated")


def write_stand_ins(folder, tasks, *, catalog):
    """For every source of the tasks, in every language, a file of the name that is looked for first; it holds its own name."""
    for name in tasks:
        spec = catalog.task(name).spec
        langs = {*spec.languages, *spec.train_languages, *spec.translated_languages, "en", "de"}
        sources = [source for split in SPLITS for source in getattr(spec.data, split)]
        for source, lang in [(s, own) for s in sources for asked in sorted(langs) for own in languages_read(s, asked)]:
            for path in _names(filled(source, lang)):
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(path, encoding="utf-8")
    return folder


def _names(source):
    if source.hub:
        return [f"{source.hub}/{source.config}/{source.split}-00000-of-00001.parquet"]
    names = (source.files or {}).values()
    return [re.sub(r"\*", "x", name) for several in names for name in ([several] if isinstance(several, str) else several)]
