"""Differences between the backbones of a table, paired through the test items that all of them answer.

    rank_intervals([rung.backbone for rung in found.ladder], paired_differences(found), alpha=0.05)

What an item does to both sides cancels; the seeds of two backbones are drawn apart, and their variances add up.
Lifts that differ by rounding alone are equal.
"""

import numpy as np

from harness.scoring.bootstrap import ROUNDING
from harness.study.statistics.evidence import Evidence, seed_noise
from harness.study.statistics.student import StudentEstimate, satterthwaite


def paired_differences(found: Evidence) -> StudentEstimate:
    """Row minus column [..., K, K]; where no variance between seeds is known, uncertain through test items alone."""
    value = found.lifts[..., :, None] - found.lifts[..., None, :]
    value = np.where(np.abs(value) > ROUNDING, value, 0.0)
    own = np.einsum("...kk->...k", found.items)
    known = np.maximum(own[..., :, None] + own[..., None, :] - 2 * found.items, 0)
    noise = seed_noise(found)
    if noise is None:
        return StudentEstimate(value=value, variance=known, df=np.full_like(value, np.inf))
    row, column = np.broadcast_arrays(noise[..., :, None], noise[..., None, :])
    df_row, df_column = np.broadcast_arrays(found.seed_df[..., :, None], found.seed_df[..., None, :])
    # Two backbones of a family rest on one estimate of the variance between seeds: its degrees of freedom count once.
    same = np.array([[one.family == other.family for other in found.ladder] for one in found.ladder])
    together = satterthwaite(known, [(row + column, df_row)])
    apart = satterthwaite(known, [(row, df_row), (column, df_column)])
    return StudentEstimate(value=value, variance=known + row + column, df=np.where(same, together, apart))
