"""Families pooled: the mean over these families; families at large, their heterogeneity, each family drawn towards the others.

    lines = [fit_ladder(found, family) for family in found.families]
    vectors = [line.vector(1e10) for line in lines]
    mean_of_families(found, lines, vectors)      # of these families: no less certain for their differing
    pooled = pool(found, lines, vectors)         # of all families of which these are a sample
    pooled.mean, pooled.tau2, pooled.q_p_value, pooled.i2, pooled.new_family, pooled.partial

Two questions: what holds on average of the families at hand, with what each family's own residuals say of its errors, and what
holds of families at large, with F - 1 degrees of freedom for how the families differ.

Families answer the same test items: their errors have the covariance of the draws.  Intervals are those of Hartung and Knapp
(2001), Stat Med 20: 3875, and Sidik and Jonkman (2002), Stat Med 21: 3153, with t of F - 1 degrees of freedom; I2 is Higgins and
Thompson's (2002), Stat Med 21: 1539.  A family drawn towards the others is its best linear unbiased prediction.  Of one family
there is nothing to pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.api.errors import UserError
from harness.study.statistics.distributions import chi2_tail
from harness.study.statistics.evidence import Evidence, seed_noise
from harness.study.statistics.ladder import LadderFit
from harness.study.statistics.mixed_regression import Assumed, MixedFit, fit_mixed
from harness.study.statistics.student import StudentEstimate, of_parts, satterthwaite


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooled:
    """The mean over families of one number of their lines."""

    families: tuple[str, ...]
    each: np.ndarray
    "[..., F]: the families' own estimates."
    mean: StudentEstimate
    tau2: np.ndarray
    "The variance between families."
    heterogeneity: np.ndarray
    "Cochran's Q."
    q_p_value: np.ndarray
    "Of Q, by chi-square with F - 1 degrees of freedom."
    i2: np.ndarray
    "The percentage of the variation between families that is more than sampling."
    new_family: StudentEstimate
    "What another family, measured likewise, would show: the prediction interval."
    partial: StudentEstimate
    "[..., F]: the families' estimates drawn towards the mean."
    mixed: MixedFit


def mean_of_families(found: Evidence, lines: Sequence[LadderFit], vectors: Sequence[np.ndarray]) -> StudentEstimate:
    """The plain mean over these families of a combination of each line's coefficients."""
    parts = [line.mixed.parts(vector) for line, vector in zip(lines, vectors, strict=True)]
    items, _ = sampling_covariance(found, lines, vectors)
    between = items.sum(axis=(-1, -2)) - np.einsum("...ff->...", items)
    known = np.maximum(sum(part.known for part in parts) + between, 0)
    credited = known if all(line.mixed.shares_known for line in lines) else np.zeros_like(known)
    value = sum(line.mixed.coefficients @ vector for line, vector in zip(lines, vectors, strict=True))
    num = len(lines)
    return StudentEstimate(
        value=value / num,
        variance=(known + sum(part.q * part.expected for part in parts)) / num**2,
        df=satterthwaite(credited, [(part.expected, part.df) for part in parts]),
    )


def pool(
    found: Evidence,
    lines: Sequence[LadderFit],
    vectors: Sequence[np.ndarray],
    *,
    assumed: Assumed | None = None,
) -> Pooled:
    """Pool one combination of the coefficients of each line; raises UserError for fewer than two families."""
    if len(lines) < 2:
        raise UserError(
            f"nothing to pool: {len(lines)} families with a line",
            found=", ".join(line.family for line in lines) or "none",
            expected="at least two families with three sizes each",
        )
    each = np.stack([line.mixed.coefficients @ vector for line, vector in zip(lines, vectors, strict=True)], axis=-1)
    items, rest = sampling_covariance(found, lines, vectors)
    families = [line.family for line in lines]
    return pool_estimates(each, families=families, shared=items, noise=rest, assumed=assumed)


def sampling_covariance(
    found: Evidence, lines: Sequence[LadderFit], vectors: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How a combination of each line's coefficients varies: through items [..., F, F], and through all else [..., F].

    All else as it is expected, not by a line's q: residuals of four backbones are small by chance too often to be weights.
    """
    weights, rest = [], []
    for line, vector in zip(lines, vectors, strict=True):
        at = found.places(line.family)
        own = np.einsum("p,...pk->...k", vector, line.mixed.weights)
        spread = np.zeros((*own.shape[:-1], len(found.ladder)))
        spread[..., at] = own
        noise = seed_noise(found.only(at))
        apart = line.mixed.tau2[..., None] + (0 if noise is None else noise)
        weights.append(spread)
        rest.append((own**2 * apart).sum(axis=-1))
    table = np.stack(weights, axis=-2)  # [..., F, K]
    return table @ found.items @ np.swapaxes(table, -1, -2), np.stack(rest, axis=-1)


def pool_estimates(
    each: np.ndarray,
    *,
    families: Sequence[str],
    shared: np.ndarray,
    noise: np.ndarray,
    assumed: Assumed | None = None,
) -> Pooled:
    """Pool estimates [..., F] with the covariance shared [..., F, F] + diag(noise [..., F])."""
    num_families = len(families)
    mixed = fit_mixed(each, np.ones((num_families, 1)), shared=shared, noise=noise, assumed=assumed)
    mean = mixed.combination([1.0])
    df = num_families - 1
    excess = np.maximum(mixed.heterogeneity - df, 0.0)
    return Pooled(
        families=tuple(families),
        each=each,
        mean=mean,
        tau2=mixed.tau2,
        heterogeneity=mixed.heterogeneity,
        q_p_value=chi2_tail(mixed.heterogeneity, df=df),
        i2=100 * np.divide(excess, mixed.heterogeneity, out=np.zeros_like(excess), where=mixed.heterogeneity > 0),
        new_family=mixed.new_unit([1.0]),
        partial=_partial(each, mixed, covariance=shared + np.eye(num_families) * noise[..., None, :]),
        mixed=mixed,
    )


def _partial(each: np.ndarray, mixed: MixedFit, *, covariance: np.ndarray) -> StudentEstimate:
    """The best linear unbiased predictions of the families' own values, and the variance of their errors at this tau2."""
    identity = np.eye(each.shape[-1])
    tau2 = mixed.tau2[..., None, None]
    mean = np.repeat(mixed.weights, each.shape[-1], axis=-2)  # [..., F, F]: each line gives the mean
    # Where nothing varies the inverse does not exist, and nothing is to be drawn anywhere.
    scale = np.einsum("...ff->...", covariance + tau2 * identity)[..., None, None]
    gain = tau2 * np.linalg.inv(covariance + identity * np.where(scale > 0, tau2 + 1e-12 * scale, 1.0))
    predictor = mean + gain @ (identity - mean)
    error = predictor @ covariance @ np.swapaxes(predictor, -1, -2)
    error += (predictor - identity) @ (tau2 * np.swapaxes(predictor - identity, -1, -2))
    variance = np.maximum(np.einsum("...ff->...f", error), 0)
    known = np.zeros_like(variance)
    return of_parts(np.einsum("...fg,...g->...f", predictor, each), known=known, estimated=variance, df=mixed.df)
