"""The lab of impossible results: each case impossible as it stands, ordinary once mended, and judged by its check."""

import re

import pytest
from committed import read_committed
from IPython.core.interactiveshell import InteractiveShell
from test_checks import NONSENSE, blank, public_functions
from traitlets.config import Config
from wrong_answers.impossible import RIGHT, WRONG, verdict

from build_tools import exercises, series
from helpers import config
from helpers.checks import impossible
from helpers.checks.tools import CheckFailed

NAMES = config.LAB_CASES
PATHS = series.case_paths()
ALL_WRONG = [(name, *wrong) for name in NAMES for wrong in WRONG[name]]
each_case = pytest.mark.parametrize("name", NAMES)
each_path = pytest.mark.parametrize("path", PATHS, ids=NAMES)


@pytest.fixture
def full(monkeypatch):
    """Let the checks expect the figures of a full run."""
    monkeypatch.setattr(config, "FAST", False)


def test_every_case_has_its_check_and_wrong_answers():
    assert public_functions(impossible) == NAMES == list(WRONG) == list(RIGHT) == list(impossible.CASES)
    assert len(impossible.CAUSES) == len(impossible.IF_IT_WERE) == 8
    assert list(impossible.CAUSES) == list(impossible.IF_IT_WERE) == list("ABCDEFGH")
    for name in NAMES:
        case = impossible.CASES[name]
        assert case.cause == RIGHT[name][0] and case.cause not in dict(case.causes)
        assert len(WRONG[name]) >= 3


@each_case
def test_the_right_cause_with_an_honest_figure_is_accepted(name, full, capsys):
    cause, honest, _ = RIGHT[name]
    getattr(impossible, name)(verdict("right", cause, honest))
    getattr(impossible, name)(verdict("in_another_hand", f" {cause.lower()} ", honest))
    assert capsys.readouterr().out.startswith(f"✓ {name}: ")


@pytest.mark.parametrize(
    ("name", "answer", "hint"), ALL_WRONG, ids=[f"{case[0]}-{case[1].__name__}" for case in ALL_WRONG]
)
def test_a_wrong_verdict_is_rejected_with_the_hint_that_fits(name, answer, hint, full):
    with pytest.raises(CheckFailed) as caught:
        getattr(impossible, name)(answer)
    message = str(caught.value)
    assert [line.split(":")[0].strip() for line in message.split("\n")[1:]] == ["seen", "expected", "hint"]
    assert hint in message.split("hint:")[1]
    assert max(map(len, message.split("\n"))) <= 150
    # Neither the cause nor where the figure lies is given away.
    case = impossible.CASES[name]
    assert impossible.CAUSES[case.cause] not in message and case.says not in message
    assert not any(f"{bound:g}" in message.split("expected:")[1] for bound in case.figure)


@each_case
def test_no_letter_is_told_from_another_before_the_figure_is_honest(name, full):
    _, _, claimed = RIGHT[name]
    said = set()
    for letter in impossible.CAUSES:
        with pytest.raises(CheckFailed) as caught:
            getattr(impossible, name)(verdict("a_guess", letter, claimed))
        said.add(str(caught.value))
    assert len(said) == 1


@each_case
def test_the_check_says_that_the_blank_is_blank_and_survives_nonsense(name):
    with pytest.raises(CheckFailed, match="is still empty"):
        getattr(impossible, name)(blank)
    for nonsense in NONSENSE.values():
        with pytest.raises(CheckFailed, match="✗"):
            getattr(impossible, name)(nonsense)
    for pair in [(None, 0.8), (["D"], 0.8), (3, 0.8), ("D", "many"), ("D", None), ("", 0.8), ("I", 0.8)]:
        with pytest.raises(CheckFailed, match="✗"):
            getattr(impossible, name)(verdict("nonsense", *pair))


@each_path
def test_a_case_has_its_form(path):
    notebook = read_committed(path)
    assert len(notebook.cells) <= 16
    title = notebook.cells[0].source.split("\n")[0]
    assert re.fullmatch(rf"# Case {path.stem[-1]} · \S.+", title)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for heading in ("## The test", "## Your tests", "## Your verdict", exercises.ANSWERS):
        assert heading in text
    assert text.count("**Think first:**") == 1 and "00_read_me_first.ipynb" in text
    page = read_committed(series.LAB / "00_read_me_first.ipynb")
    assert f"[{title.removeprefix('# ')}]({path.name})" in page.cells[-1].source
    marks = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert marks == [path.stem, f"check_{path.stem}"]
    [check] = [cell.source for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert check == f"check.{path.stem}({path.stem})"


@each_path
def test_what_the_student_reads_does_not_name_the_cause(path):
    student = exercises.student_notebook(path)
    text = "\n".join(cell.source for cell in student.cells)
    code = "\n".join(cell.source for cell in student.cells if cell.cell_type == "code")
    assert not re.search(r"\b(leak|wrong|bug|fault|mistake|cheat|planted)", code)
    assert not any(cause in text for cause in impossible.CAUSES.values())  # the list prints them, all eight
    assert "](../00_" not in text and "](00_read_me_first.ipynb)" in student.cells[0].source


@each_path
def test_a_case_is_impossible_as_it_stands_and_ordinary_once_mended(path, monkeypatch, capsys):
    """Under FAST=1, as the tests run; a full run is executed and checked by `make run`."""
    monkeypatch.chdir(path.parent)
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    cells = exercises.before_answers(read_committed(path))
    for cell in cells:
        if cell.cell_type == "code":
            done = shell.run_cell(cell.source)
            assert done.success, f"{cell.source}\n{done.error_in_exec}"
    cause, mended = shell.user_ns[path.stem]()
    claimed = shell.user_ns["claimed"]
    assert cause == impossible.CASES[path.stem].cause
    assert claimed > 0.96, "the figure is not impossible"
    assert 0.65 < mended < claimed - 0.1, "the mended figure is not ordinary"
    out, err = capsys.readouterr()
    assert f"✓ {path.stem}: " in out and f"Test accuracy {claimed:.1%}" in out and err == ""


def test_the_intervals_keep_the_claims_out_and_let_a_shorter_run_be_rougher():
    for name, case in impossible.CASES.items():
        (low, high), (rough_low, rough_high) = case.figure, case.short_run
        assert rough_low <= low < high <= rough_high < 0.91 and high - low <= 0.15, name
        assert RIGHT[name][2] > 0.96
