"""What a model is asked, and when it learns: a test is told before an adapter's method answers, and before an optimizer steps.

listen(monkeypatch, Encoder, "begin", lambda batch, **_: seen.append(batch))
with before_each_step(lambda: steps.append(len(steps))): ...
"""

from contextlib import contextmanager

from torch.optim.optimizer import register_optimizer_step_pre_hook


def listen(monkeypatch, adapter, name, hear):
    """Call `hear` with the arguments of each call of a method of an adapter's class; the answers stay as they are."""
    answer = getattr(adapter, name)

    def heard(self, *args, **kwargs):
        hear(*args, **kwargs)
        return answer(self, *args, **kwargs)

    monkeypatch.setattr(adapter, name, heard)


@contextmanager
def before_each_step(hear):
    """Call `hear` before each step of any optimizer of this process; what it raises ends the training there."""
    handle = register_optimizer_step_pre_hook(lambda *_: hear())
    try:
        yield
    finally:
        handle.remove()
