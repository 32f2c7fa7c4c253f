"""Division in which nothing out of nothing is 0, the convention of all official scripts: `ratio(correct, predicted)`."""

import numpy as np


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide elementwise, arrays of one shape (0-d too); 0.0 where the denominator is not positive."""
    numerator, denominator = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)
