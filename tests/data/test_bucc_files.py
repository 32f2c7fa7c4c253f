"""The reader of BUCC's files names file and line of what is no line of BUCC."""

import pytest
from small_corpora import corpus
from small_mining import write_files

from harness.api.errors import UserError
from harness.api.registry import READERS


def test_reader_errors_name_file_and_line(tmp_path):
    write_files(tmp_path, "de", corpus("files", pairs=3, alone=2), "dev")
    files = {role: tmp_path / f"de-en.dev.{end}" for role, end in (("source", "de"), ("target", "en"), ("gold", "gold"))}
    (row,) = READERS.load("bucc").read(files, lang="de", options={})
    assert row["sentence1"][0][0] == "de-000000001"
    assert len(row["gold"]) == 3
    with files["gold"].open("a") as file:
        file.write("de-000000001\n")
    with pytest.raises(UserError, match=r"de-en\.dev\.gold:4: not a line of BUCC"):
        list(READERS.load("bucc").read(files, lang="de", options={}))
    with pytest.raises(UserError, match="roles source, target, gold"):
        list(READERS.load("bucc").read({"rows": files["gold"]}, lang="de", options={}))
