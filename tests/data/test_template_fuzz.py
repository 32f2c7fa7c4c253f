"""Whatever a template says, it gives a text that is not too long, or a mistake: it does not hang, and raises nothing else."""

import random

import pytest
from hostile_templates import hostile_template

from harness.api.errors import UserError
from harness.data.templates.compiled import LM_EVAL, OWN, compile_template
from harness.data.templates.limits import MAX_CHARACTERS

ROW = {"text": "a b", "name": "Ç", "items": ["x", "y"], "row": {"a": {"b": [1]}, "b": None}}
CASES = 250


@pytest.mark.parametrize("dialect", [OWN, LM_EVAL], ids=["own", "lm_eval"])
def test_a_random_template_gives_a_text_or_a_mistake(dialect):
    rendered = refused = 0
    for number in range(CASES):
        source = hostile_template(random.Random(f"1 {number}"))
        try:
            text = compile_template(source, dialect).render(ROW, what="it")
        except UserError:
            refused += 1
        else:
            rendered += 1
            assert len(text) <= MAX_CHARACTERS
    assert rendered > CASES / 20
    assert refused > CASES / 2
