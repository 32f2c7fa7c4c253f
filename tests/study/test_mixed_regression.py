"""The regression against exact t intervals, metafor, statsmodels and brute force."""

import numpy as np
import pytest
from scipy import optimize, stats

from harness.study.statistics.mixed_regression import Assumed, fit_mixed

X = np.log10([8.6e7, 3.0e8, 3.3e9, 1.07e10])
LINE = np.stack([np.ones(4), X - X.mean()], axis=1)
Y = np.array([3.1, 2.2, 2.9, 1.4])
NOTHING = np.zeros((4, 4))

# Colditz et al. (1994): vaccinated ill and not, others ill and not, absolute latitude, year.
BCG = np.array(
    [
        [4, 119, 11, 128, 44, 1948],
        [6, 300, 29, 274, 55, 1949],
        [3, 228, 11, 209, 42, 1960],
        [62, 13536, 248, 12619, 52, 1977],
        [33, 5036, 47, 5761, 13, 1973],
        [180, 1361, 372, 1079, 44, 1953],
        [8, 2537, 10, 619, 19, 1973],
        [505, 87886, 499, 87892, 13, 1980],
        [29, 7470, 45, 7232, 27, 1968],
        [17, 1699, 65, 1600, 42, 1961],
        [186, 50448, 141, 27197, 18, 1974],
        [5, 2493, 3, 2338, 33, 1969],
        [27, 16886, 29, 17825, 33, 1976],
    ],
    dtype=float,
)


@pytest.mark.parametrize("noise", [1e-4, 0.3, 50.0])
def test_with_equal_variances_and_no_shared_items_it_is_ordinary_regression(noise):
    """Whatever the noise is said to be: the residuals say it better."""
    fit = fit_mixed(Y, LINE, shared=NOTHING, noise=np.full(4, noise))
    told = stats.linregress(X, Y)
    slope = fit.combination([0.0, 1.0])
    half = stats.t.ppf(0.975, 2) * told.stderr
    assert slope.interval() == pytest.approx((told.slope, told.slope - half, told.slope + half), rel=1e-6)
    at = fit.combination([1.0, 8.0 - X.mean()])
    residual = Y - told.intercept - told.slope * X
    error = np.sqrt(residual @ residual / 2 * (1 / 4 + (8.0 - X.mean()) ** 2 / ((X - X.mean()) ** 2).sum()))
    assert at.value == pytest.approx(told.intercept + 8 * told.slope)
    assert at.error() == pytest.approx(error, rel=1e-6)


def test_weighted_regression_is_metafor_s():
    """rma(yi, vi, mods = ~ ablat + year, method="PM", test="knha") of the odds ratios of dat.bcg.

    tau2 0.1631972, ablat -0.02751 (se 0.01201), year 0.00686.
    """
    y = np.log(BCG[:, 0] * BCG[:, 3] / BCG[:, 1] / BCG[:, 2])
    design = np.stack([np.ones(13), BCG[:, 4], BCG[:, 5]], axis=1)
    fit = fit_mixed(y, design, shared=np.zeros((13, 13)), noise=(1 / BCG[:, :4]).sum(axis=1))
    assert fit.tau2 == pytest.approx(0.1631972, abs=1e-5)
    assert fit.coefficients[1:] == pytest.approx([-0.02751, 0.00686], abs=1e-5)
    assert fit.combination([0, 1, 0]).error() == pytest.approx(0.01201, abs=1e-5)
    assert fit.combination([0, 1, 0]).df == 10


def test_the_mean_is_statsmodels():
    """combine_effects(y, v, method_re="iterated", use_t=True) of statsmodels 0.15.0: Paule-Mandel, Hartung-Knapp."""
    y, v = np.array([0.4, -0.2, 0.55, 0.1, 0.9]), np.array([0.05, 0.06, 0.04, 0.05, 0.12])
    fit = fit_mixed(y, np.ones((5, 1)), shared=np.zeros((5, 5)), noise=v)
    mean = fit.combination([1.0])
    assert fit.tau2 == pytest.approx(0.09833928726230419, abs=1e-6)
    assert mean.value == pytest.approx(0.32288310775386436, abs=1e-6)
    assert mean.error() == pytest.approx(0.1778729195014803, abs=1e-6)
    assert mean.interval()[1:] == pytest.approx((-0.17097129, 0.8167375), abs=1e-5)
    assert fit.heterogeneity == pytest.approx(9.719830246913583)


def random_problem(seed, num_units=6):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((num_units, num_units))
    places = np.sort(rng.uniform(7, 10, num_units))
    design = np.stack([np.ones(num_units), places - places.mean()], axis=1)
    return (0.3 + seed % 3) * rng.standard_normal(num_units), design, 0.1 * root @ root.T, rng.uniform(0.1, 0.5, num_units)


@pytest.mark.parametrize("seed", range(7, 12))
def test_tau2_solves_paule_and_mandel_s_equation_under_the_full_covariance(seed):
    y, design, shared, noise = random_problem(seed)
    fit = fit_mixed(y, design, shared=shared, noise=noise)

    def excess(tau2):
        inverse = np.linalg.inv(shared + np.diag(noise) + tau2 * np.eye(6))
        b = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ y)
        return (y - design @ b) @ inverse @ (y - design @ b) - 4

    told = optimize.brentq(excess, 0, 1e3) if excess(0) > 0 else 0.0
    assert fit.tau2 == pytest.approx(told, abs=1e-9)
    inverse = np.linalg.inv(shared + np.diag(noise) + told * np.eye(6))
    assert fit.coefficients == pytest.approx(np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ y))
    assert fit.q == pytest.approx((excess(told) + 4) / 4)


def test_both_signs_of_tau2_were_tried():
    tau2 = [fit_mixed(y, d, shared=s, noise=n).tau2 for y, d, s, n in map(random_problem, range(7, 12))]
    assert {one > 0 for one in tau2} == {True, False}


def test_what_items_move_in_common_is_added_and_not_measured_by_residuals():
    """Compound symmetry, c 11' + d I: var(mean) is c + s^2 / K, var(slope) is that of ordinary regression: closed forms."""
    for common in (0.0, 4.0):
        fit = fit_mixed(Y, LINE, shared=np.full((4, 4), common) + 0.2 * np.eye(4), noise=np.full(4, 0.1))
        plain = fit_mixed(Y, LINE, shared=NOTHING, noise=np.full(4, 0.1))
        level, slope = fit.combination([1.0, 0.0]), fit.combination([0.0, 1.0])
        assert level.variance == pytest.approx(plain.combination([1.0, 0.0]).variance + common, rel=1e-5)
        assert slope.variance == pytest.approx(plain.combination([0.0, 1.0]).variance, rel=1e-5)
        assert slope.df == pytest.approx(2, rel=1e-4)
        assert (level.df > 2.1) == (common > 0)


def test_a_covariance_within_the_columns_changes_neither_weights_nor_residuals():
    y, design, shared, noise = random_problem(7)
    plain = fit_mixed(y, design, shared=shared, noise=noise)
    more = fit_mixed(y, design, shared=shared + design @ np.array([[2.0, 0.3], [0.3, 1.0]]) @ design.T, noise=noise)
    assert more.coefficients == pytest.approx(plain.coefficients)
    assert more.tau2 == pytest.approx(plain.tau2)
    assert more.q == pytest.approx(plain.q)


def test_degrees_of_freedom_do_not_grow_because_residuals_happen_to_be_small():
    shared, noise = np.full((4, 4), 1.0), np.full(4, 1.0)
    small, large = (fit_mixed(LINE @ [2.0, -1.0] + size * Y, LINE, shared=shared, noise=noise) for size in (0.01, 0.5))
    assert small.q < 0.01 * large.q
    assert small.combination([1.0, 0.0]).df == pytest.approx(large.combination([1.0, 0.0]).df)


def test_without_known_noise_the_residuals_hold_it_and_no_degrees_of_freedom_are_won():
    fit = fit_mixed(Y, LINE, shared=np.full((4, 4), 1.0), noise=None)
    told = stats.linregress(X, Y)
    level, slope = fit.combination([1.0, 0.0]), fit.combination([0.0, 1.0])
    assert slope.error() == pytest.approx(told.stderr, rel=1e-5)
    assert level.df == slope.df == 2
    assert level.variance == pytest.approx(1.0 + told.stderr**2 * ((X - X.mean()) ** 2).sum() / 4, rel=1e-5)


def test_a_new_unit_is_apart_from_the_line_as_units_are():
    """With equal variances: the exact prediction interval of ordinary regression."""
    fit = fit_mixed(Y, LINE, shared=NOTHING, noise=np.full(4, 0.1))
    told = stats.linregress(X, Y)
    residual = Y - told.intercept - told.slope * X
    mean_square = residual @ residual / 2
    new = fit.new_unit([1.0, 0.5])
    assert new.variance == pytest.approx(fit.combination([1.0, 0.5]).variance + mean_square, rel=1e-6)
    assert new.df == pytest.approx(2)


def test_many_problems_at_once_are_each_as_alone():
    problems = [random_problem(seed) for seed in range(4)]
    design = problems[0][1]
    y, shared, noise = (np.stack([problem[place] for problem in problems]) for place in (0, 2, 3))
    together = fit_mixed(y, design, shared=shared, noise=noise)
    for number in range(4):
        alone = fit_mixed(y[number], design, shared=shared[number], noise=noise[number])
        for name in ("coefficients", "within", "rest", "q", "tau2", "heterogeneity", "unit_variance", "weights"):
            assert getattr(together, name)[number] == pytest.approx(getattr(alone, name)), name
        assert together.combination([1.0, 0.3]).df[number] == pytest.approx(alone.combination([1.0, 0.3]).df)


def test_assumed_variances_are_taken_as_given():
    y, design, shared, noise = random_problem(0)
    fit = fit_mixed(y, design, shared=shared, noise=noise)
    again = fit_mixed(y, design, shared=shared, noise=noise, assumed=Assumed(fit.tau2, fit.q))
    assert again.combination([1.0, 0.0]).variance == pytest.approx(fit.combination([1.0, 0.0]).variance)
    halved = fit_mixed(y, design, shared=shared, noise=noise / 2, assumed=Assumed(fit.tau2, fit.q))
    assert halved.combination([1.0, 0.0]).variance < fit.combination([1.0, 0.0]).variance


def test_lifts_that_do_not_vary_at_all_give_a_point():
    fit = fit_mixed(np.full(4, 2.0), LINE, shared=NOTHING, noise=np.zeros(4))
    assert fit.combination([1.0, 0.0]).interval() == pytest.approx((2.0, 2.0, 2.0), abs=1e-3)
    assert fit.heterogeneity == 0


def test_as_many_units_as_columns_leave_nothing_to_measure():
    with pytest.raises(ValueError, match="leave no residual"):
        fit_mixed(Y[:2], LINE[:2], shared=NOTHING[:2, :2], noise=np.ones(2))
