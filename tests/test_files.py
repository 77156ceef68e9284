"""Files are written whole or not at all."""

import json

import pytest

from helpers.files import replacing, write_json


def test_a_file_is_there_only_when_it_is_whole_and_an_older_one_stays_until_then(tmp_path):
    path = tmp_path / "a folder" / "numbers.json"
    write_json(path, [1])
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert json.loads(path.read_text()) == [1] and list(path.parent.iterdir()) == [path]
    with replacing(path) as part:
        part.write_text("[2]")
        assert json.loads(path.read_text()) == [1]
    assert json.loads(path.read_text()) == [2] and list(path.parent.iterdir()) == [path]
