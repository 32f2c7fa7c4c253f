"""Lift as a function of size, and what may be said of it.

    table = score_table_of(found, arms=("none", "mnli"), backbones=names, cells=cells, seeds=(1, 2, 3))
    lifts = group_lifts(table, group, treated="mnli", baseline="none", scale="points")
    study = evidence(lifts, ladder=ladder)
    answer = ScaleQuestion(reference=3e8, target=1e10, margin=1.0).answer(study)
    settle({"mnli persists": answer.claim}, alpha=0.05, correction="holm")

effects -> evidence -> questions (ladder, pooling) -> hypotheses (verdicts); looks, advice and robustness beside them.
"""
