"""The start page: a cross with advice for whatever is wrong with a machine, the timing, the prediction and the map."""

import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from helpers import fetch, machine, series, speed

RECORDED = {
    "seconds": {"02_mlp_baseline": 40.0, "03_cnn_dropout": 400.0},
    "steps_per_second": {"MLP": 200.0, "FashionNet": 30.0, "FashionCNN": 60.0},
}


def assert_cross(check, *words):
    assert check.fine is False
    assert check.advice.endswith(".") or "\n" in check.advice
    for word in words:
        assert word in f"{check.found} {check.advice}"


def test_this_machine_is_right(real):
    checks = machine.check_machine()
    assert [check.what for check in checks] == ["Python", "packages", "memory", "disk", "device", "data"]
    assert "torch 2." in checks[1].found
    # Memory and disk of the machine that runs the tests are its own business.
    assert all(check.fine for check in checks if check.what not in ("memory", "disk"))


@pytest.mark.parametrize(
    ("version", "fine"), [("3.10.14", False), ("3.11.0", True), ("3.15.1", True), ("2.7.18", False)]
)
def test_python_is_compared_with_the_bound_of_the_project(version, fine):
    check = machine.check_python(version)
    assert check.fine is fine
    assert fine or "Install a Python >=3.11" in check.advice


def test_a_package_that_is_missing_or_too_old_gets_a_row_of_its_own():
    checks = machine.check_packages(["torch>=2.0", "numpy>=99.1", "no-such-package>=1", "another-one"])
    assert [(check.what, check.fine) for check in checks] == [
        ("packages", True),
        ("numpy", False),
        ("no-such-package", False),
        ("another-one", False),
    ]
    assert_cross(checks[1], "needed is >=99.1", "pip install -r requirements.txt", "restart the kernel")
    assert_cross(checks[2], "missing; needed is >=1")
    assert_cross(checks[3], "missing; needed is any version")
    assert "1 are right: torch" in checks[0].found


def test_the_bounds_are_those_of_the_requirements(monkeypatch, tmp_path):
    (tmp_path / "requirements.txt").write_text("# a comment\ntorch>=2.0\n\npandas>=99\n-e .\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert [check.what for check in machine.check_packages()] == ["packages", "pandas"]


def test_no_package_at_all_is_told_too():
    [check] = machine.check_packages(["no-such-package"])
    assert_cross(check, "missing")


def test_the_checks_work_without_torch():
    # What a student has before the packages are installed; torch stands for all of them.
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from helpers.machine import check_machine, checks_table\n"
        "print(checks_table(check_machine()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    rows = done.stdout.split("\n")
    assert [row.split("|")[2].strip() for row in rows if row.startswith("| ✗")] == ["device", "data"]
    assert "PyTorch cannot be loaded" in done.stdout and "2 to put right" in done.stdout


@pytest.mark.parametrize(("free", "fine"), [(2.9, False), (3.0, True), (16.0, True), (0.0, False)])
def test_too_little_memory_is_a_cross(free, fine):
    check = machine.check_memory(free)
    assert check.fine is fine and f"{free:.1f} GB are free; a lesson needs up to 3 GB" in check.found
    assert fine or "Close other programs" in check.advice


@pytest.mark.parametrize("limit", ["2000000000", "max", None])
def test_the_memory_limit_of_a_container_counts(limit, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=8_000_000_000))
    if limit:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("500000000\n")
    assert machine.free_memory() == (1.5 if limit == "2000000000" else 8.0)


def test_a_full_disk_and_a_folder_of_someone_else_are_crosses():
    assert machine.check_disk(0.6, writable=True).fine
    assert_cross(machine.check_disk(0.1, writable=True), "0.1 GB are free", "delete")
    assert_cross(machine.check_disk(100.0, writable=False), "cannot be written", "Copy the whole project")


def test_missing_data_is_a_cross_with_all_that_was_tried(raw):
    check = machine.check_data()
    assert_cross(check, "is missing", "What to do: go online", "torchvision's download")
    # A line break would end the table.
    table = machine.checks_table([check])
    assert len(table.split("\n\n")[0].split("\n")) == 3 and "<br>" in table


def test_data_that_was_altered_is_a_cross(copy, raw):
    raw.mkdir(parents=True)
    for name in fetch.SHA256:
        content = bytearray((copy / name).read_bytes())
        content[-1] ^= 1
        (raw / name).write_bytes(content)
        (copy / name).unlink()
    assert_cross(machine.check_data(), "is missing", "What to do")


def test_the_table_says_in_words_what_is_right_and_what_is_not():
    right = machine.Check("disk", "5 GB | enough", True, "not shown")
    wrong = machine.Check("memory", "1 GB", False, "Close other programs.")
    table = machine.checks_table([right, wrong])
    assert "| ✓&nbsp;right | disk | 5 GB \\| enough | nothing |" in table
    assert "| ✗&nbsp;**not&nbsp;yet** | memory | 1 GB | Close other programs. |" in table
    assert table.endswith("**1 to put right.** Do what the last column says, then run this cell again.")
    assert machine.checks_table([right]).endswith("**This machine is ready.**")


def test_every_network_of_the_series_is_timed(home):
    measured = speed.steps_per_second(0.01)
    assert list(measured) == ["MLP", "FashionNet", "FashionCNN", "BatchNormCNN", "SimpleCNN"]
    assert all(value > 0 for value in measured.values())
    assert {network for networks in speed.NETWORKS.values() for network in networks} == set(measured)
    assert list(speed.NETWORKS) == [path.stem for path in series.lesson_paths()]


def test_a_machine_of_half_the_speed_takes_twice_as_long():
    half = {"MLP": 100.0, "FashionNet": 15.0, "FashionCNN": 30.0}
    assert speed.predict_seconds(RECORDED, half) == {"02_mlp_baseline": 80.0, "03_cnn_dropout": 800.0}
    # Lesson 03 trains two networks, here one at half and one at full speed.
    mixed = half | {"FashionCNN": 60.0}
    assert speed.predict_seconds(RECORDED, mixed)["03_cnn_dropout"] == 600.0
    assert "| MLP | 100 | 200 | 0.50 |" in speed.speed_table(RECORDED, half)


def test_without_a_recorded_speed_there_is_no_prediction():
    with pytest.raises(KeyError, match="steps_per_second"):
        speed.predict_seconds({"seconds": RECORDED["seconds"]}, RECORDED["steps_per_second"])


def test_the_map_names_every_lesson_with_its_time_and_links_that_resolve():
    names = [path.stem for path in series.lesson_paths()]
    table = speed.lesson_map(dict.fromkeys(names, 61.0))
    targets = re.findall(r"\]\(([^)]+)\)", table)
    for name in names:
        assert f"{name}.ipynb" in targets and f"exercises/{name}.ipynb" in targets
    for target in targets:
        assert (series.config.NOTEBOOKS_DIR / target).exists(), target
    assert table.count("about 70 seconds") == len(series.lesson_paths())
    assert table.endswith("| all lessons |  |  | about 8 minutes |")
    assert "Python at the level of loops" in table


def test_the_committed_start_page_shows_a_machine_that_is_ready_and_the_map():
    notebook = nbformat.read(series.START, as_version=4)
    outputs = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert "This machine is ready" in outputs and "predicted run time here" in outputs
    assert "✓ softmax" in outputs and "hint:" in outputs
