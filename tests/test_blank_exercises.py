"""The exercises as a student opens them: all cells run, and each check says that its answer is still empty."""

from committed import read_committed
from IPython.core.interactiveshell import InteractiveShell
from test_exercises import checks, each_of_all
from traitlets.config import Config

from build_tools import exercises


@each_of_all
def test_a_blank_exercise_fails_in_its_checks_alone(path, monkeypatch, capsys):
    notebook = read_committed(exercises.student_path(path))
    monkeypatch.chdir(exercises.student_path(path).parent)
    # In this process, which has imported PyTorch already.
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    failed = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and not (done := shell.run_cell(cell.source)).success:
            failed[cell.metadata.get("nbgrader", {}).get("grade_id", cell.source)] = str(done.error_in_exec)
    assert list(failed) == list(checks(notebook))
    assert all("is still empty" in message for message in failed.values()), failed
    assert capsys.readouterr().err == ""
