"""Weighted regression with a known covariance of errors, known variances, and a variance between units; Knapp-Hartung intervals.

    fit = fit_mixed(y, design, shared=items, noise=seeds)       # y [..., K], design [K, P], shared [..., K, K], noise [..., K]
    fit.combination([1.0, 0.5])                                 # StudentEstimate of b0 + 0.5 b1

Model: y = X b + u + e;  u ~ N(0, tau2 I) between units;  e ~ N(0, shared + diag(noise)).

* tau2 is Paule and Mandel's: the residuals' weighted sum of squares equals its degrees of freedom, K - P.
* `shared` is taken apart: X A X' + E.  The first part lies within the columns of X, so it moves b and shows in no residual; E is
  a diagonal in the proportions of that of `shared`, as large as what of `shared` does show.  A = C - (X' E^-1 X)^-1 with
  C = (X' shared^-1 X)^-1, since X C X' is the most that lies within X (the shorted operator of Anderson and Trapp, 1975).
* var(b) = A + q (X' V^-1 X)^-1 with V = E + diag(noise) + tau2 I and Knapp and Hartung's q, the weighted residual mean square:
  what residuals show is measured by them, with K - P degrees of freedom, and what they cannot show is added as it is.  q is not
  cut off at 1: with equal variances and A = 0 this is ordinary least squares and its exact t interval.
* Degrees of freedom are Satterthwaite's, with the parts' shares as they are expected (q = 1): shares as observed would promise
  most where residuals happen to be smallest.

Without `noise` (one seed: its variance is not known) tau2 is the residual mean square itself, with K - P degrees of freedom.

Sources: Paule and Mandel (1982), J Res NBS 87; Knapp and Hartung (2003), Stat Med 22: 2693; Satterthwaite (1946), Biometrics 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.study.statistics.student import StudentEstimate, satterthwaite

_STEPS = 100  # of the bisection for tau2
_ROUNDING = 1e-24  # of the sum of squares: what is left of a perfect fit
_RIDGE = 1e-10  # of the mean variance: keeps a covariance of identical units invertible


class Assumed(NamedTuple):
    """What a fit takes as given, to say what it would be with other evidence if estimates stayed what they are."""

    tau2: np.ndarray
    q: np.ndarray


class VarianceParts(NamedTuple):
    """What the variance of an estimate is made of: known + q * expected."""

    known: np.ndarray
    expected: np.ndarray
    q: np.ndarray
    df: int
    "Degrees of freedom of q."


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedFit:
    """A fitted regression."""

    coefficients: np.ndarray
    "[..., P]"
    weights: np.ndarray
    "[..., P, K]: coefficients = weights @ y."
    within: np.ndarray
    "A [..., P, P]: the covariance of the coefficients that no residual shows."
    rest: np.ndarray
    "(X' V^-1 X)^-1 [..., P, P]: the remaining covariance, to be multiplied by q."
    shares_known: bool
    "Whether `noise` was given."
    q: np.ndarray
    "[...]: Knapp and Hartung's factor."
    tau2: np.ndarray
    "[...]: the variance between units."
    unit_variance: np.ndarray
    "[...]: the mean variance of units around the line, their errors included."
    heterogeneity: np.ndarray
    "[...]: Cochran's Q, the weighted residual sum of squares at tau2 = 0."
    df: int
    "Residual degrees of freedom, K - P."

    def parts(self, vector: Sequence[float] | np.ndarray, *, apart: np.ndarray | float = 0.0) -> VarianceParts:
        """The variance of a linear combination, `apart` added to what residuals measure."""
        vector = np.asarray(vector, dtype=np.float64)
        known = np.maximum(np.einsum("p,...pq,q->...", vector, self.within, vector), 0)
        expected = np.maximum(np.einsum("p,...pq,q->...", vector, self.rest, vector), 0) + apart
        return VarianceParts(known, expected, self.q, self.df)

    def combination(self, vector: Sequence[float] | np.ndarray) -> StudentEstimate:
        """The estimate of a linear combination of the coefficients."""
        return self._estimate(vector, self.parts(vector))

    def new_unit(self, vector: Sequence[float] | np.ndarray) -> StudentEstimate:
        """What another unit, measured likewise, would show there: uncertain as the combination, and apart from it as units are.

        The errors of measurement stay in: taken out by an estimate of tau2, the interval is too narrow where units are few
        (Partlett and Riley, 2017, Stat Med 36: 301).
        """
        return self._estimate(vector, self.parts(vector, apart=self.unit_variance))

    def _estimate(self, vector: Sequence[float] | np.ndarray, parts: VarianceParts) -> StudentEstimate:
        # Of one seed it is not known how much of the residuals is there anyway: no credit is taken for the part beside them.
        credited = parts.known if self.shares_known else np.zeros_like(parts.known)
        return StudentEstimate(
            value=self.coefficients @ np.asarray(vector, dtype=np.float64),
            variance=parts.known + parts.q * parts.expected,
            df=satterthwaite(credited, [(parts.expected, parts.df)]),
        )


def fit_mixed(
    y: np.ndarray,
    design: np.ndarray,
    *,
    shared: np.ndarray,
    noise: np.ndarray | None,
    assumed: Assumed | None = None,
) -> MixedFit:
    """Fit the model of this module; raises ValueError if there are not more units than columns."""
    num_units, num_columns = design.shape
    df = num_units - num_columns
    if df < 1:
        raise ValueError(f"{num_units} units for {num_columns} columns leave no residual")
    identity = np.eye(num_units)
    own = np.zeros_like(y) if noise is None else noise
    known = shared + identity * own[..., None, :]
    residuals = _Residuals(y, design, known)
    estimated = residuals.mean_square if noise is None else residuals.paule_mandel()
    tau2 = estimated if assumed is None else assumed.tau2
    visible = _visible(shared, residuals.basis)
    units = identity * np.asarray(tau2)[..., None, None]
    scale = np.einsum("...kk->...", known) / num_units + tau2
    ridge = identity * (_RIDGE * np.where(scale > 0, scale, 1.0))[..., None, None]
    errors = units + identity * own[..., None, :] + (0 if noise is None else visible)
    precision = np.linalg.inv(known + units + ridge)
    weights = np.linalg.inv(design.T @ precision @ design) @ design.T @ precision
    least = _least_squares(design, shared + ridge) - _least_squares(design, visible + ridge)
    measured = np.ones_like(tau2) if noise is None else residuals.sum_of_squares(tau2) / df
    return MixedFit(
        coefficients=np.einsum("...pk,...k->...p", weights, y),
        weights=weights,
        within=without_negative(least),
        rest=_least_squares(design, errors + ridge),
        shares_known=noise is not None,
        q=np.asarray(measured if assumed is None else assumed.q),
        tau2=np.asarray(tau2),
        unit_variance=np.einsum("...kk->...", errors) / num_units,
        heterogeneity=residuals.sum_of_squares(np.zeros_like(tau2)),
        df=df,
    )


def _least_squares(design: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The covariance of generalised least squares."""
    return np.linalg.inv(design.T @ np.linalg.inv(errors) @ design)


def _visible(shared: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The diagonal E [..., K, K], in the proportions of that of `shared`, under which residuals vary as under `shared`."""
    diagonal = np.maximum(np.einsum("...kk->...k", shared), 0)
    shown = np.einsum("ki,...kl,li->...", basis, shared, basis)
    full = np.einsum("ki,...k->...", basis**2, diagonal)
    share = np.divide(np.maximum(shown, 0), full, out=np.zeros_like(full), where=full > 0)
    return np.eye(len(basis)) * (share[..., None] * diagonal)[..., None, :]


def without_negative(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix with its negative eigenvalues, which are noise, set to 0."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0)[..., None, :]) @ np.swapaxes(vectors, -1, -2)


class _Residuals:
    """What of y no coefficient explains, in coordinates in which its known covariance is diagonal."""

    def __init__(self, y: np.ndarray, design: np.ndarray, known: np.ndarray) -> None:
        self.basis = np.linalg.svd(design)[0][:, design.shape[1] :]  # [K, K - P], orthogonal to the columns of the design
        variances, vectors = np.linalg.eigh(self.basis.T @ known @ self.basis)
        squares = np.einsum("...ji,...j->...i", vectors, y @ self.basis) ** 2
        # What rounding leaves of a perfect fit is nothing, not an infinity over a variance of nothing.
        self._squares = np.where(squares > (_ROUNDING * np.square(y).sum(axis=-1))[..., None], squares, 0.0)
        self._variances = np.maximum(variances, 0)
        self.mean_square = self._squares.mean(axis=-1)

    def sum_of_squares(self, tau2: np.ndarray) -> np.ndarray:
        """The weighted sum of squares at a given variance between units; 0 where there is neither residual nor variance."""
        total = self._variances + tau2[..., None]
        ratio = np.divide(self._squares, total, out=np.full_like(total, np.inf), where=total > 0)
        return np.where(self._squares > 0, ratio, 0.0).sum(axis=-1)

    def paule_mandel(self) -> np.ndarray:
        """The variance between units at which the sum of squares is its expectation; 0 where it is less without any."""
        df = self._squares.shape[-1]
        # At the sum of all squares each term is at most its share of 1, which no expectation is below.
        low, high = np.zeros_like(self.mean_square), self._squares.sum(axis=-1)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            too_small = self.sum_of_squares(middle) > df
            low, high = np.where(too_small, middle, low), np.where(too_small, high, middle)
        return np.where(self.sum_of_squares(np.zeros_like(low)) > df, high, 0.0)
