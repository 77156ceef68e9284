"""The command that executes the lessons: progress, executed copies, failures, start page, and the pages' tables."""

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import nbclient
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from build_tools import series
from helpers.config import ROOT
from helpers.results import COLUMNS

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")

ENTRY = dict(zip(COLUMNS, ["02_x", "MLP", 535818, 50000, 12, 21.4, 0.9039, 0.8954, 0.3127], strict=True))
HEADLINE = {"lesson": "08_y", "headline": "what shifts add", "value": 2.1, "low": 1.4, "high": 2.9, "unit": "points"}
HEADLINE["how"] = "3 seeds"


@pytest.fixture
def lessons(tmp_path, monkeypatch):
    """Send notebooks, copies and results to a folder of the test; return a function that adds a lesson."""
    folder = tmp_path / "a folder" / "notebooks"
    folder.mkdir(parents=True)
    monkeypatch.setattr(series.config, "NOTEBOOKS_DIR", folder)
    monkeypatch.setattr(series.config, "RUNS_DIR", tmp_path / "runs")
    monkeypatch.setattr(series.config, "LESSONS", [])
    monkeypatch.setattr(series.config, "APPENDICES", [])
    monkeypatch.setattr(series.config, "LAB_CASES", [])
    monkeypatch.setattr(series.config, "FAST", False)
    monkeypatch.setattr(series, "COPIES", tmp_path / "runs" / "notebooks")
    monkeypatch.setattr(series, "TIMES_OF_THIS_RUN", tmp_path / "runs" / "run_times.json")
    monkeypatch.setattr(series, "README", tmp_path / "README.md")
    monkeypatch.setattr(series, "INSTRUCTORS", tmp_path / "INSTRUCTORS.md")
    monkeypatch.setattr(series, "START", folder / "00_start_here.ipynb")
    monkeypatch.setattr(series, "RESULTS", folder / "results.json")
    monkeypatch.setattr(series, "RUN_TIMES", folder / "run_times.json")
    monkeypatch.setattr(series, "SCOREBOARD", folder / "scoreboard.svg")
    monkeypatch.setattr(series, "fetch", lambda: "data are here")
    monkeypatch.setattr(series, "steps_per_second", lambda: {"MLP": 200.5})

    def add(name, *code):
        opening = new_markdown_cell("# Title\nWhy?\n\n<!--run-time-->?<!--/run-time--> on two cores.")
        notebook = new_notebook(cells=[opening, *map(new_code_cell, code)])
        nbformat.write(notebook, folder / f"{name}.ipynb")
        if folder / f"{name}.ipynb" != series.START:
            series.config.LESSONS.append(name)
        return folder / f"{name}.ipynb"

    return add


def test_publishing_writes_outputs_run_times_results_and_readme(lessons, tmp_path, capsys):
    file = f"pathlib.Path(r'{tmp_path}/runs/results.json')"
    save = f"import json, pathlib; {file}.write_text(json.dumps([{ENTRY}, {HEADLINE}]))"
    path = lessons("01_first", "print(1 + 1)", save)
    show = "import json; recorded = json.load(open('run_times.json'))"
    start = lessons("00_start_here", show, "print(list(recorded['seconds']), recorded['steps_per_second'])")
    series.README.write_text(
        "before <!--picture--><!--/picture--><!--lessons--><!--/lessons--> <!--results-->old<!--/results--> after"
    )
    series.README.write_text(series.README.read_text() + "<!--headlines-->old<!--/headlines-->")
    series.INSTRUCTORS.write_text(
        "before <!--run-times-->old<!--/run-times--> <!--headlines-->old<!--/headlines--> after"
    )
    series.COPIES.mkdir(parents=True)
    series.publish()
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[1].outputs[0].text == "2\n"
    assert notebook.metadata["series"]["code_sha256"] == series.code_hash(notebook)
    assert "<!--run-time-->about 10 seconds<!--/run-time-->" in notebook.cells[0].source
    assert json.loads(series.RESULTS.read_text()) == [ENTRY, HEADLINE]
    readme = series.README.read_text()
    assert readme.startswith("before") and " after<!--headlines-->" in readme and "old" not in readme
    assert "| 02_x | MLP | 535,818 | 50,000 | 12 | 21 | 90.39% | 89.54% | 0.3127 |" in readme
    assert "| [Title](notebooks/01_first.ipynb) | Why? | – | 10 seconds | – |" in readme
    shown = re.search(r"!\[(The scoreboard.*people 1,000 images: 83.5.*)\]\(notebooks/scoreboard.svg\)", readme)
    assert shown and "<svg" in series.SCOREBOARD.read_text()
    assert "cell  1 of 2  print(1 + 1)" in capsys.readouterr().out
    guide = series.INSTRUCTORS.read_text()
    assert guide.startswith("before") and guide.endswith("after") and "old" not in guide
    for text in (readme, guide):
        assert "| 08_y | what shifts add | 2.1 points | 1.4 to 2.9 | 3 seeds |" in text
    memory = json.loads(series.RUN_TIMES.read_text())["peak_memory"]["01_first"]
    assert f"| 01_first | about 10 seconds | about 10 seconds | {memory:.1f} GB |" in guide and "02_x" not in guide
    # The start page is executed last, so it already sees the times of this run, and it is no lesson.
    page = nbformat.read(start, as_version=4)
    assert page.cells[2].outputs[0].text == "['01_first'] {'MLP': 200.5}\n"
    assert page.metadata["series"] == {"code_sha256": series.code_hash(page), "fast": False}


def test_one_lesson_is_recorded_anew_and_the_others_stay(lessons, tmp_path):
    save = f"import json, pathlib; pathlib.Path(r'{tmp_path}/runs/results.json').write_text(json.dumps([{ENTRY}]))"
    one, two = lessons("01_first", "print(1)"), lessons("02_x", "print(2)", save)
    lessons("00_start_here", "print(0)")
    for page in (series.README, series.INSTRUCTORS):
        page.write_text("<!--results--><!--/results--><!--run-times--><!--/run-times-->")
    series.COPIES.mkdir(parents=True)
    series.publish()
    first_times, first = json.loads(series.RUN_TIMES.read_text()), two.read_text()
    lessons("00_a_new_one", "print(3)")
    series.config.LESSONS.sort()
    series.results_path().unlink()
    series.SCOREBOARD.unlink()
    series.publish(["00_a_new_one", "01_first"])
    assert not series.SCOREBOARD.exists(), "drawn without what the other lessons know"
    assert json.loads(series.RESULTS.read_text()) == [ENTRY]
    assert two.read_text() == first
    assert nbformat.read(one, as_version=4).cells[1].outputs[0].text == "1\n"
    times = json.loads(series.RUN_TIMES.read_text())
    assert list(times["seconds"]) == ["00_a_new_one", "01_first", "02_x"]
    assert times["seconds"]["02_x"] == first_times["seconds"]["02_x"]
    assert times["steps_per_second"] == first_times["steps_per_second"]
    # What another machine has recorded is not mixed with outputs of this one.
    series.RUN_TIMES.write_text(json.dumps(times | {"processor": "64 cores"}))
    with pytest.raises(SystemExit, match=r"another machine: processor .* instead of 64 cores"):
        series.publish(["01_first"])
    series.RUN_TIMES.write_text(json.dumps(times | {"processor_mark": "a newer one"}))
    with pytest.raises(SystemExit, match=r"another machine: processor_mark .* instead of a newer one"):
        series.publish(["01_first"])


def test_a_lesson_that_runs_again_sees_no_score_of_a_later_lesson_and_deletes_none(lessons, tmp_path):
    board = tmp_path / "runs" / "scoreboard.json"
    setting = f"from helpers import config; config.RUNS_DIR = __import__('pathlib').Path(r'{board.parent}')"
    again = "from helpers.results import record_score, scoreboard; record_score('MLP', 8, 10)"
    path = lessons("01_first", setting, again, "print(sorted(scoreboard()['name']))")
    lessons("02_x", "record_score('MLP', 8, 10)\nrecord_score(\n    'CNN', 9, 10)")
    lessons("03_fails", "1 / 0")
    series.COPIES.mkdir(parents=True)
    scores = [{"name": name, "right": 5, "images": 10} for name in ("CNN", "MLP", "you")]
    board.write_text(json.dumps(scores))
    series.run(["01_first"])
    seen = nbformat.read(series.executed_copy(path), as_version=4).cells[3].outputs[0].text
    assert seen == "['MLP', 'people', 'you']\n"
    assert {entry["name"]: entry["right"] for entry in json.loads(board.read_text())} == {"CNN": 5, "MLP": 8, "you": 5}
    before = board.read_text()
    with pytest.raises(SystemExit):
        series.run(["03_fails"])
    assert board.read_text() == before


def test_a_lesson_is_not_recorded_without_the_scores_that_it_shows(lessons):
    lessons("01_first", "record_score('MLP', 8, 10)")
    lessons("02_x", "record_score('CNN', 9, 10)\nplot_scoreboard(scoreboard())")
    lessons("03_last", "record_score('late', 9, 10)")
    before = (series.config.NOTEBOOKS_DIR / "02_x.ipynb").read_text()
    with pytest.raises(SystemExit, match=r"lacks the scores of 01_first, .*series run 01_first$"):
        series.publish(["02_x"])
    assert (series.config.NOTEBOOKS_DIR / "02_x.ipynb").read_text() == before
    assert series.lessons_to_run_before(["01_first", "02_x"]) == series.lessons_to_run_before(["03_last"]) == []
    series.scores_path().parent.mkdir()
    series.scores_path().write_text('[{"name": "MLP", "right": 8, "images": 10}]')
    assert series.lessons_to_run_before(["02_x"]) == []


def test_a_cell_with_a_progress_bar_keeps_what_it_printed(lessons, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE")
    code = "from tqdm.auto import tqdm\nfrom helpers import config\n"
    path = lessons("01_x", f"{code}print(sum(tqdm(range(4), disable=not config.SHOW_PROGRESS_BARS)))")
    series.execute(path)
    [output] = nbformat.read(series.executed_copy(path), as_version=4).cells[1].outputs
    assert output.text == "6\n"


def test_pictures_are_kept_small_and_look_the_same(lessons):
    draw = (
        "import matplotlib.pyplot as plt, numpy as np\n"
        "x = np.linspace(0, 6, 50)\n_ = plt.plot(x, np.sin(x), linewidth=8, alpha=0.7)\n_ = plt.title('A wave')"
    )
    path = lessons("01_first", draw)
    series.execute(path)
    [output] = nbformat.read(series.executed_copy(path), as_version=4).cells[1].outputs
    stored = output.data["image/png"]
    as_before = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(as_before, kernel_name="python3", startup_timeout=300).execute()
    drawn = as_before.cells[1].outputs[0].data["image/png"]
    assert len(stored) < 0.7 * len(drawn)
    a, b = (np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), float) for png in (stored, drawn))
    assert a.shape == b.shape and np.abs(a - b).mean() < 1 and np.abs(a - b).max() < 40


@pytest.mark.parametrize("mode", ["FAST", "REPLAY"])
def test_a_short_run_measures_no_speed(mode, lessons, monkeypatch):
    lessons("01_first", "1 + 1")
    monkeypatch.setattr(series.config, mode, True)
    series.COPIES.mkdir(parents=True)
    series.run()
    assert "steps_per_second" not in json.loads(series.TIMES_OF_THIS_RUN.read_text())


def test_the_instructors_guide_says_what_was_recorded():
    guide = series.INSTRUCTORS.read_text(encoding="utf-8")
    assert "<!--run-times-->" in guide
    assert series.between(guide, "run-times", f"\n{series.run_times_table()}\n") == guide
    assert "<!--headlines-->" in guide and series.between(guide, "headlines", f"\n{series.headlines()}\n") == guide


def test_a_replay_of_all_lessons_takes_at_most_eight_minutes():
    seconds, spared = json.loads(series.RUN_TIMES.read_text())["seconds"], series.spared_by_replay()
    assert set(spared) < set(seconds) and all(0 < value < seconds[name] for name, value in spared.items())
    assert sum(seconds.values()) - sum(spared.values()) <= 8 * 60


def test_a_failing_cell_ends_the_run_with_its_error_and_keeps_the_copy(lessons):
    path = lessons("01_first", "print('so far')", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(SystemExit, match="01_first stopped: ZeroDivisionError"):
        series.run()
    copy = nbformat.read(series.COPIES / path.name, as_version=4)
    assert copy.cells[1].outputs[0].text == "so far\n"
    assert path.read_bytes() == before


def test_a_kernel_that_is_killed_ends_the_run_in_words_and_keeps_the_copy(lessons, monkeypatch):
    path = lessons("01_first", "print('so far')", "import os\nos.kill(os.getpid(), 9)", "print('never')")
    with pytest.raises(
        SystemExit, match=r"01_first stopped: .* in cell 2 of 3.* memory ran out.* GB are free"
    ) as caught:
        series.run()
    copy = nbformat.read(series.COPIES / path.name, as_version=4)
    assert copy.cells[1].outputs[0].text == "so far\n"
    assert str(series.COPIES / path.name) in str(caught.value)


def test_without_ipykernel_the_run_says_what_to_install(lessons, monkeypatch):
    path = lessons("01_first", "1 + 1")

    def missing(self, **options):
        raise series.NoSuchKernel("python3")

    monkeypatch.setattr(series.NotebookClient, "execute", missing)
    with pytest.raises(SystemExit, match=r"01_first was not executed.*ipykernel.*pip install -r requirements.txt"):
        series.execute(path)


def test_a_run_that_cannot_be_saved_does_not_start(lessons, monkeypatch):
    lessons("01_first", "1 + 1")
    monkeypatch.setattr(series, "cannot_keep", lambda folder: "cannot be written")
    monkeypatch.setattr(series, "execute", lambda path: pytest.fail("executed"))
    with pytest.raises(SystemExit, match="cannot be written"):
        series.run()


def test_a_kernel_that_does_not_start_is_told_in_words(lessons, monkeypatch):
    path = lessons("01_first", "1 + 1")
    series.COPIES.mkdir(parents=True)
    died = RuntimeError("Kernel died before replying to kernel_info")
    monkeypatch.setattr(series.NotebookClient, "execute", lambda self, **_options: (_ for _ in ()).throw(died))
    told = (
        "01_first was not executed, since its kernel does not start: Kernel died .* If memory ran out, .* GB are free"
    )
    with pytest.raises(SystemExit, match=told):
        series.execute(path)


def test_a_run_that_is_stopped_by_ctrl_c_says_so_and_nothing_else():
    name = "stopped-by-ctrl-c"
    run = subprocess.Popen(
        [sys.executable, "-m", "build_tools.series", "run", "01_data_exploration"],
        cwd=ROOT,
        env=os.environ | {"FAST": "1", "RUN_NAME": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = ""
        while "cell  3 of" not in said:
            said += (line := run.stdout.readline())
            assert line, said
        run.send_signal(signal.SIGINT)
        last = run.communicate(timeout=60)[0]
    finally:
        run.kill()
        shutil.rmtree(ROOT / "runs" / name, ignore_errors=True)
    assert run.returncode == 130 and "Traceback" not in last and "rror" not in last, last
    *_, words = last.strip().splitlines()
    assert words.startswith("Stopped by you. The lessons executed up to now are in ") and name in words


def test_a_students_own_notebook_is_no_lesson(lessons):
    lessons("01_first", "1 + 1")
    for name in ("01_first-Copy1", "Untitled", "03_my_notes"):
        (series.config.NOTEBOOKS_DIR / f"{name}.ipynb").write_bytes(b"\x00\x80")
    assert set(series.run()) == {"01_first"}


def test_a_claim_that_came_out_otherwise_ends_no_run_and_is_named_at_its_end(lessons, capsys, monkeypatch):
    monkeypatch.delenv("FAST")  # for the kernels
    lessons(
        "01_first", "from helpers.results import claim", "score = 0.3\nclaim('Up.', holds=score > 0.5)", "print('on')"
    )
    lessons("02_x", "from helpers.results import claim\nclaim('Down.', holds=True)")
    series.COPIES.mkdir(parents=True)
    assert set(series.run()) == {"01_first", "02_x"}
    last = capsys.readouterr().out.split("Claims that did not hold")[1].splitlines()
    assert last[-1] == "  01_first: Up. Found: score = 0.3." and "Down" not in "".join(last)


def test_a_run_in_which_all_claims_hold_says_so(lessons, capsys):
    lessons("01_first", "print('✓ Up.')")
    series.COPIES.mkdir(parents=True)
    series.run()
    assert capsys.readouterr().out.endswith("Every claim of the lessons held in this run.\n")


def test_a_short_run_is_never_published(lessons, monkeypatch):
    monkeypatch.setattr(series.config, "FAST", True)
    with pytest.raises(SystemExit, match="full run"):
        series.publish()


def test_a_run_beside_busy_programs_is_never_published(lessons, monkeypatch):
    monkeypatch.setattr(series, "leave_busy_cores", lambda: 1)
    with pytest.raises(SystemExit, match="nothing else at work"):
        series.publish()


def test_a_run_with_a_claim_that_came_out_otherwise_is_not_published(lessons):
    path = lessons("01_first", f"print({series.OTHERWISE + ' Up.'!r})")
    before = path.read_bytes()
    series.COPIES.mkdir(parents=True)
    with pytest.raises(SystemExit, match="not published"):
        series.publish()
    assert path.read_bytes() == before


def test_the_hash_changes_with_code_and_not_with_text():
    notebook = new_notebook(cells=[new_markdown_cell("text"), new_code_cell("x = 1")])
    first = series.code_hash(notebook)
    notebook.cells[0].source = "other text"
    assert series.code_hash(notebook) == first
    notebook.cells[1].source = "x = 2"
    assert series.code_hash(notebook) != first


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "about 10 seconds"), (41, "about 50 seconds"), (130, "about 3 minutes"), (420, "about 7 minutes")],
)
def test_times_are_said_in_words(seconds, words):
    assert series.describe_seconds(seconds) == words


def test_outputs_keep_no_memory_address_and_no_random_table_name(lessons):
    path = lessons("01_first", "print(1)", "import pandas as pd\npd.DataFrame({'a': [1]}).style")
    series.COPIES.mkdir(parents=True)
    series.execute(path)
    first = (series.COPIES / path.name).read_bytes()
    series.execute(path)
    assert (series.COPIES / path.name).read_bytes() == first
    assert b"0x" not in first and b"T_2_row0" in first


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Only Linux tells a process's peak.")
def test_the_peak_memory_counts_what_a_cell_held_for_a_moment(lessons):
    path = lessons("01_first", "small = bytes(1)", "large = b'x' * 600_000_000", "del large")
    series.COPIES.mkdir(parents=True)
    assert 0.6 < series.execute(path).gigabytes < 1.2


def test_the_peak_memory_of_a_process_that_is_gone_is_unknown():
    assert series.peak_memory(-1) is None
