"""Rows of a parallel set in two languages, side by side.

both = side_by_side(thai, german, beside=ParallelLanguage(lang="de", match="id"), where="XQuAD.th/validation")
both[0]     # the Thai row, with the German one under `other` and 'de' under `other_lang`
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.errors import UserError
from harness.specs.task import ParallelLanguage

Row = Mapping[str, Any]


def side_by_side(rows: Sequence[Row], others: Sequence[Row], *, beside: ParallelLanguage, where: str) -> list[dict[str, Any]]:
    """Each row with that of the same item in the other language; raises UserError if an item has none, or several."""
    if beside.match is None:
        if len(rows) != len(others):
            raise UserError(
                "the two languages differ in their number of rows",
                where=where,
                expected=f"{len(rows)} rows in '{beside.lang}': row i of one stands beside row i of the other",
                found=f"{len(others)} rows",
                todo="name a column that says which rows are the same item: `beside: {match: id}`",
            )
        matched = list(others)
    else:
        matched = _same_items(rows, others, match=beside.match, lang=beside.lang, where=where)
    lang_column = f"{beside.under}_lang"
    return [{**row, beside.under: other, lang_column: beside.lang} for row, other in zip(rows, matched, strict=True)]


def _same_items(rows: Sequence[Row], others: Sequence[Row], *, match: str, lang: str, where: str) -> list[Row]:
    """For each row the one among the others with the same value in a column."""
    by_item: dict[Any, Row] = {}
    for side in (rows, others):
        if side and match not in side[0]:
            raise UserError(f"there is no column '{match}'", where=where, found="columns " + ", ".join(side[0]))
    for other in others:
        if other[match] in by_item:
            raise UserError(
                f"two rows in '{lang}' have the {match} '{other[match]}'",
                where=where,
                todo="name another column in `beside.match`",
            )
        by_item[other[match]] = other
    missing = [row[match] for row in rows if row[match] not in by_item]
    if missing:
        raise UserError(
            f"{len(missing)} rows have none beside them in '{lang}'",
            where=where,
            found=f"the {match} '{missing[0]}', for example",
        )
    return [by_item[row[match]] for row in rows]
