"""Quantiles and tails against scipy.stats, and that nothing loads scipy before a number is asked for."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from harness.api.registry import ROOT
from harness.study.statistics.distributions import chi2_tail, normal_cdf, normal_quantile, t_quantile, t_tail
from harness.study.statistics.student import StudentEstimate, of_parts, satterthwaite


@pytest.mark.parametrize("df", [1.0, 2.5, 7.0, 300.0])
def test_student_is_that_of_scipy_stats(df):
    for probability in (0.6, 0.975, 0.9999):
        assert t_quantile(probability, df=df) == pytest.approx(stats.t.ppf(probability, df), rel=1e-9)
        assert t_tail(t_quantile(probability, df=df), df=df) == pytest.approx(1 - probability, rel=1e-6)


def test_infinite_degrees_of_freedom_are_the_normal_distribution():
    assert t_quantile(0.975, df=np.inf) == pytest.approx(1.959963984540054)
    assert t_tail(1.959963984540054, df=np.inf) == pytest.approx(0.025)
    mixed = t_quantile(0.975, df=np.array([1.0, np.inf]))
    assert mixed == pytest.approx([12.706204736432095, 1.959963984540054])


def test_normal_and_chi_square_tails():
    assert normal_cdf(normal_quantile(0.3)) == pytest.approx(0.3)
    assert chi2_tail(7.814727903251179, df=3) == pytest.approx(0.05)


def test_the_degrees_of_freedom_of_a_sum_of_variances_are_those_of_welch():
    one, other = [1.0, 4.0, 2.0, 9.0], [3.0, 3.5, 2.0]
    parts = [(np.var(x, ddof=1) / len(x), len(x) - 1) for x in (one, other)]
    told = stats.ttest_ind(one, other, equal_var=False)
    assert satterthwaite(0.0, parts) == pytest.approx(told.df)
    assert satterthwaite(1.0, [(0.0, 3.0)]) == np.inf


def test_an_interval_is_value_and_quantile_times_error():
    estimate = of_parts(2.0, known=0.5, estimated=0.5, df=4.0)
    assert estimate.df == 16.0
    half = stats.t.ppf(0.95, 16)
    assert estimate.interval(0.9) == pytest.approx((2.0, 2 - half, 2 + half))
    assert StudentEstimate(value=1.0, variance=0.0, df=np.inf).interval() == (1.0, 1.0, 1.0)


def test_nothing_loads_scipy_before_a_number_is_asked_for():
    names = ["questions", "advice", "hypotheses", "rankings", "looks", "robustness", "effects"]
    code = "; ".join(f"import harness.study.statistics.{name}" for name in names)
    code += "; import harness.study.simulation.trial, sys; print(sorted(n for n in sys.modules if n.split('.')[0] == 'scipy'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
