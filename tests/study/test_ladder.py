"""Lift against log10 of size within a family, and where nothing is said."""

import numpy as np
import pytest
from scipy import stats

from harness.api.errors import UserError
from harness.study.statistics.evidence import Evidence, Rung
from harness.study.statistics.ladder import fit_ladder, has_slope

SIZES = (1e8, 3e8, 1e9, 1e10)


def study(lifts, sizes=SIZES, family="xlmr", items=0.0, seed_variance=0.3):
    num = len(sizes)
    return Evidence(
        ladder=tuple(Rung(f"{family}-{number}", family=family, size=size) for number, size in enumerate(sizes)),
        lifts=np.array(lifts, dtype=float),
        items=np.full((num, num), items),
        num_seeds=np.full(num, 3),
        seed_variance=np.full(num, seed_variance),
        seed_df=np.full(num, 2.0 * num),
    )


def test_slope_levels_and_change_are_those_of_the_line():
    lifts = [4.0, 3.1, 2.4, 0.2]
    line = fit_ladder(study(lifts), "xlmr")
    told = stats.linregress(np.log10(SIZES), lifts)
    assert line.slope.value == pytest.approx(told.slope)
    assert line.slope.error() == pytest.approx(told.stderr)
    assert line.level_at(1e9).value == pytest.approx(told.intercept + 9 * told.slope)
    change = line.change(1e8, 1e10)
    assert change.value == pytest.approx(2 * told.slope)
    assert change.error() == pytest.approx(2 * told.stderr)
    assert line.change(1e10, 1e8).value == pytest.approx(-change.value)


def test_a_level_is_least_certain_at_the_ends():
    line = fit_ladder(study([4.0, 3.1, 2.4, 0.2]), "xlmr")
    errors = [float(line.level_at(size).error()) for size in (1e8, 10**line.centre, 1e10, 9e10)]
    assert errors[1] == min(errors)
    assert errors[3] == max(errors)
    assert line.new_backbone(1e9).error() > line.level_at(1e9).error()


def test_items_common_to_all_sizes_move_levels_and_not_the_slope():
    plain, common = (fit_ladder(study([4.0, 3.1, 2.4, 0.2], items=items), "xlmr") for items in (0.0, 2.0))
    assert common.slope.variance == pytest.approx(plain.slope.variance, rel=1e-4)
    assert common.level_at(1e9).variance == pytest.approx(plain.level_at(1e9).variance + 2.0, rel=1e-4)


@pytest.mark.parametrize("sizes", [(1e8, 1e9), (1e8, 1e9, 1e9 * (1 + 1e-9))])
def test_there_is_no_slope_below_three_sizes(sizes):
    found = study([1.0] * len(sizes), sizes=sizes)
    assert not has_slope(found, "xlmr")
    with pytest.raises(UserError, match="xlmr: no slope of 2 sizes") as error:
        fit_ladder(found, "xlmr")
    assert "xlmr-0, xlmr-1" in str(error.value)


def test_nothing_is_said_more_than_a_decade_beyond_the_ladder():
    line = fit_ladder(study([4.0, 3.1, 2.4, 0.2]), "xlmr")
    for size in (1e7, 1e11):
        assert np.isfinite(line.level_at(size).value)
    with pytest.raises(UserError, match=r"2e\+11 parameters lie 1\.3 decades beyond its ladder"):
        line.level_at(2e11)
    with pytest.raises(UserError, match="decades beyond"):
        line.change(1e9, 1e6)
