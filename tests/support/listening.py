"""What a model is asked: methods of an adapter, as its contract has them, that tell a test before they answer.

listen(monkeypatch, Encoder, "forward_head", lambda batch, head: seen.append(batch))
"""


def listen(monkeypatch, adapter, name, hear):
    """Call `hear` with the arguments of each call of a method of an adapter's class; the answers stay as they are."""
    answer = getattr(adapter, name)

    def heard(self, *args, **kwargs):
        hear(*args, **kwargs)
        return answer(self, *args, **kwargs)

    monkeypatch.setattr(adapter, name, heard)
