"""What a stage says that it wrote is believed only where it is said as it was written."""

import json

import pytest

from harness.api.errors import UserError
from harness.runtime.stages import read_done, wrong_with

RIGHT = {"key": "0123456789", "files": {"a.txt": {"size": 1, "xxh3": "00"}}, "versions": {"torch": "2"}, "commit": "c0ffee"}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "{}", '{"key": 1}', "[" * 5000, '{"key": "x", "key": "y"}', '{"key": "\\ud800"}',
        json.dumps({**RIGHT, "files": []}), json.dumps({**RIGHT, "files": {"a.txt": "x"}}),
        json.dumps({**RIGHT, "files": {"a.txt": {"size": "1", "xxh3": "00"}}}),
        json.dumps({**RIGHT, "files": {"a.txt": {"size": 1}}}),
        json.dumps({**RIGHT, "versions": "x"}), json.dumps({**RIGHT, "commit": 5}), json.dumps({**RIGHT, "arithmetic": "x"}),
    ],
)  # fmt: skip
def test_a_word_of_being_done_that_nobody_wrote_so_is_not_believed(tmp_path, text):
    (tmp_path / "done.json").write_text(text)
    with pytest.raises(UserError) as error:
        read_done(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert wrong_with(tmp_path) != ""


def test_one_that_is_as_it_was_written_is_believed(tmp_path):
    (tmp_path / "done.json").write_text(json.dumps(RIGHT))
    assert read_done(tmp_path) == RIGHT
    assert wrong_with(tmp_path) == "a.txt is missing"
