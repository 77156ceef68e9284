"""The mutants of the helpers: drawn from all places, tried by the module's own tests, taken back, and counted."""

import pytest

from benchmarks import mutants

MODULE = "def double(x):\n    return 2 * x\n"
TESTS = {
    "strict": "from helpers.small import double\n\n\ndef test_it():\n    assert double(3) == 6\n",
    "blind": "from helpers.small import double\n\n\ndef test_it():\n    assert double(0) == 0\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Stand a project of one function in for the copy; give a function that writes its test."""
    folder = tmp_path / "copy"
    (folder / "helpers").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "helpers" / "__init__.py").touch()
    (folder / "helpers" / "small.py").write_text(MODULE)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    monkeypatch.setattr(mutants, "COPY", folder)
    monkeypatch.setattr(mutants, "SAMPLE", 2)
    return lambda text: (folder / "tests" / "test_small.py").write_text(text)


@pytest.mark.parametrize(("kind", "killed"), [("strict", True), ("blind", False)])
def test_a_change_is_killed_by_a_test_that_looks_and_taken_back(kind, killed, project):
    pytest.importorskip("cosmic_ray", reason="cosmic-ray comes with make mutants")
    project(TESTS[kind])
    changes = mutants.draw_sample()
    places = [(change.start_pos, change.end_pos) for change in changes]
    assert places == [((2, 11), (2, 12)), ((2, 13), (2, 14))]  # the 2 and the ×
    assert [change.operator_name for change in mutants.draw_sample()] == [change.operator_name for change in changes]
    found = mutants.try_change(changes[0])
    assert found["killed"] is killed and found["definition"] == "double"
    assert found["before"] == "return 2 * x" and found["after"].replace(" ", "") in ("return3*x", "return1*x")
    assert (mutants.COPY / "helpers" / "small.py").read_text() == MODULE


def test_a_module_is_tried_by_its_own_tests_or_by_those_that_import_it(project):
    tests = mutants.COPY / "tests"
    for name in ("test_checks", "test_other", "test_browser", "test_more"):
        (tests / f"{name}.py").write_text("from helpers import config, small\n" if name != "test_more" else "")
    (tests / "test_start.py").write_text("from helpers.checks import start_page\n")
    helpers = mutants.COPY / "helpers"
    assert mutants.tests_of(helpers / "small.py") == ["tests/test_checks.py", "tests/test_other.py"]
    project(TESTS["strict"])
    assert mutants.tests_of(helpers / "small.py") == ["tests/test_small.py"]
    assert mutants.tests_of(helpers / "checks" / "lesson_07.py") == ["tests/test_checks.py"]
    assert mutants.tests_of(helpers / "checks" / "start_page.py") == ["tests/test_start.py"]


def test_every_reason_is_of_a_survivor():
    alive = {entry["after"] for entry in mutants.entries_with("mutants") if not entry["killed"]}
    assert {line for lines in mutants.REASONS.values() for line in lines} <= alive


def test_survivors_are_counted_and_shown(monkeypatch):
    entries = [
        {"module": "helpers/a.py", "definition": "f", "before": "x + 1", "after": "x - 1", "killed": True},
        {"module": "helpers/a.py", "definition": None, "before": "A = 1 | B", "after": "A = 2 | B", "killed": False},
        {"module": "helpers/b.py", "definition": "g", "before": "y", "after": "not y", "killed": True},
    ]
    monkeypatch.setattr(mutants, "entries_with", lambda name: entries)
    table = mutants.mutants_table()
    assert "| helpers/a.py | 2 | 1 |" in table and "| all | 3 | 2 (66.7%) |" in table
    row = r"| helpers/a.py, module | `A = 1 \| B` | `A = 2 \| B` |"
    assert f"{row} **a test is missing** |" in table and "not y" not in table
    monkeypatch.setattr(mutants, "REASONS", {"nobody reads A": ["A = 2 | B"]})
    assert f"{row} nobody reads A |" in mutants.mutants_table()
    assert mutants.mutants_goals() == [("mutants: at least 95% killed", "2 of 3, 66.7%", False)]
    monkeypatch.setattr(mutants, "entries_with", lambda name: entries[::2])
    assert "None survived." in mutants.mutants_table() and mutants.mutants_goals()[0][2]
    monkeypatch.setattr(mutants, "entries_with", lambda name: [])
    assert mutants.mutants_goals() == []
