"""Quantiles and tail probabilities of the normal, Student, chi-square and F distributions, for arrays.

    t_quantile(0.975, df=4.0)        # 2.776; df may be a fraction, or infinite: the normal quantile
    chi2_tail(7.8, df=3)             # 0.05

scipy is imported when the first number is asked for: commands that plan or print never wait for it.
"""

from typing import TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray | float


def t_quantile(probability: Numbers, *, df: Numbers) -> np.ndarray:
    """The quantile of Student's distribution with `df` > 0 degrees of freedom, whole, fractional or infinite."""
    from scipy.special import ndtri, stdtrit

    degrees = np.asarray(df, dtype=np.float64)
    finite = np.isfinite(degrees)
    return np.asarray(np.where(finite, stdtrit(np.where(finite, degrees, 1.0), probability), ndtri(probability)))


def t_tail(value: Numbers, *, df: Numbers) -> np.ndarray:
    """The probability that Student's variable exceeds `value`."""
    from scipy.special import ndtr, stdtr

    degrees = np.asarray(df, dtype=np.float64)
    finite = np.isfinite(degrees)
    value = np.asarray(value, dtype=np.float64)
    return np.asarray(np.where(finite, stdtr(np.where(finite, degrees, 1.0), -value), ndtr(-value)))


def normal_quantile(probability: Numbers) -> np.ndarray:
    """The quantile of the standard normal distribution."""
    from scipy.special import ndtri

    return np.asarray(ndtri(probability))


def normal_cdf(value: Numbers) -> np.ndarray:
    """The probability that a standard normal variable is at most `value`."""
    from scipy.special import ndtr

    return np.asarray(ndtr(value))


def chi2_tail(value: Numbers, *, df: Numbers) -> np.ndarray:
    """The probability that a chi-square variable exceeds `value`."""
    from scipy.special import chdtrc

    return np.asarray(chdtrc(df, value))
