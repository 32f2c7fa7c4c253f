"""Vectors of a prediction are handed over as they lie on disk, in the order of the features."""

import numpy as np

from harness.prediction.partials import open_partials


def test_vectors_are_handed_over_as_they_lie_on_disk(tmp_path):
    rows = np.random.default_rng(0).standard_normal((50, 6), dtype=np.float32)
    store = open_partials(tmp_path, vectors=True)
    store.write((int(n), rows[n]) for n in np.random.default_rng(1).permutation(50))
    found = store.read(50)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, rows)
    assert not found.flags.owndata
    assert not found.flags.writeable
    assert np.shares_memory(found[:20], found), "a side of a pair of collections is a view"
    store.close()
