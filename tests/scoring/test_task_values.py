"""Values that a task itself has made of each example are averaged by name."""

import numpy as np
import pytest

from harness.api.errors import UserError
from harness.api.registry import METRICS


def test_values_of_a_task_are_averaged_by_name():
    mean = METRICS.load("lm_eval_mean:acc,strict")
    assert mean.stats({"values": {"acc,strict": True}}, 0, lang="de") == (1.0, 1.0)
    assert mean.stats({"values": {"acc,strict": float("nan")}}, 0, lang="de") == (0.0, 0.0)
    with pytest.raises(UserError, match=r"(?s)gives no 'acc,strict'.*did you mean 'acc,strikt'"):
        mean.prepare([{"values": {"acc,strikt": 1.0}}], [0], lang="de")
    with pytest.raises(UserError, match="'acc,strict' is no number"):
        mean.stats({"values": {"acc,strict": "x"}}, 0, lang="de")
    assert METRICS.load("lm_eval_mean:bleu_max").combine(np.array([30.0, 2.0])) == {"mean": 15.0}
    with pytest.raises(UserError, match="for two classes"):
        METRICS.load("lm_eval_f1:f1").stats({"values": {"f1": [2, 1]}}, 0, lang="de")
