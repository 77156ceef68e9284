"""The settings: switches and names from the environment, folders that tests may delete, the series and its home."""

import os
import runpy
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from build_tools import exercises, series
from helpers import config, home, machine

CONFIG = config.__file__


def read_config(monkeypatch, **environment):
    for name in ("FAST", "RUN_NAME", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(CONFIG)


@pytest.mark.parametrize("word", ["1", "true", "True", "YES", "on", " 1 ", "ON\t"])
def test_words_that_switch_on(word, monkeypatch):
    settings = read_config(monkeypatch, FAST=word, TQDM_DISABLE=word)
    assert settings["FAST"] is True and settings["SHOW_PROGRESS_BARS"] is False
    assert settings["RUNS_DIR"] == config.ROOT / "runs" / "fast"


@pytest.mark.parametrize("word", ["", " ", "0", "0 ", "false", "FALSE", "off", "Off", "no"])
def test_words_that_switch_off(word, monkeypatch):
    settings = read_config(monkeypatch, FAST=word, TQDM_DISABLE=word)
    assert settings["FAST"] is False and settings["SHOW_PROGRESS_BARS"] is True
    assert settings["RUNS_DIR"] == config.ROOT / "runs" / "full"


@pytest.mark.parametrize("word", ["2", "maybe", "fasle", "-1", "0.0"])
@pytest.mark.parametrize("name", ["FAST", "TQDM_DISABLE"])
def test_an_unknown_word_is_an_error_that_names_the_known_ones(name, word, monkeypatch):
    with pytest.raises(SystemExit, match=rf"{name} is '{word}'.*1, true, yes, on .*0, false, no, off"):
        read_config(monkeypatch, **{name: word})


@pytest.mark.parametrize(
    "name", [".", "..", "../..", "/tmp", "a/b", "full/", "./full", "a\\b", "C:", ".git", "full.", "full "]
)
def test_a_run_name_that_leads_elsewhere_is_refused(name, monkeypatch):
    with pytest.raises(SystemExit, match=r"RUN_NAME is .*plain folder name"):
        read_config(monkeypatch, RUN_NAME=name)


@pytest.mark.parametrize("name", ["test-fast", "trial 2", "Zürich", "a..b"])
def test_a_plain_run_name_is_a_folder_in_runs(name, monkeypatch):
    assert read_config(monkeypatch, RUN_NAME=name)["RUNS_DIR"] == config.ROOT / "runs" / name


def test_an_empty_run_name_is_none(monkeypatch):
    assert read_config(monkeypatch, RUN_NAME="")["RUNS_DIR"].name == "full"


@pytest.fixture
def project(tmp_path):
    """Make a project of one test that prints where it writes, with folders that must stay."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(config.ROOT / name, folder)
    code = "import os, pathlib\n\ndef test_it():\n    here = pathlib.Path('runs', os.environ['RUN_NAME'])\n"
    code += "    assert here.is_dir()\n    (here / 'made').touch()\n    print('made in', here)\n"
    (folder / "test_it.py").write_text(code)
    for name in ("full", "fast", "test-fast", "test-mine"):
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "mlp.pt").touch()
    (folder / "thesis").mkdir()
    (folder / "thesis" / "thesis.txt").touch()
    (folder / "runs" / "test-link").symlink_to(folder / "thesis")
    return folder


def files_of(folder):
    return sorted(
        str(path) for path in folder.rglob("*") if "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
    )


def start_pytest(folder, *options, **environment):
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment
    command = [sys.executable, "-m", "pytest", *options, "-q", "-o", "addopts=", "test_it.py"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def test_tests_delete_only_what_they_made_whatever_the_environment_says(project):
    before = files_of(project)
    names = [
        "",
        ".",
        "..",
        "full",
        "test-fast",
        "test-mine",
        "test-link",
        "../thesis",
        f"{project}/thesis",
        "a/../full",
    ]
    # At the same time, since runs that delete each other's folder are the same trouble.
    running = [start_pytest(project, "-s", RUN_NAME=name) for name in names]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(names), said
    assert len({line for text in said for line in text.splitlines() if "made in" in line}) == len(names)
    assert files_of(project) == before


def test_the_processes_of_xdist_write_to_folders_of_their_own_and_remove_them(project):
    before = files_of(project)
    said = start_pytest(project, "-p", "xdist", "-n", "2", "--dist", "each", "-rP").communicate()[0]
    assert len({line for line in said.splitlines() if line.startswith("made in runs/test-")}) == 2, said
    assert files_of(project) == before


def test_the_series_is_what_the_project_names_and_no_notebook_that_lies_beside():
    assert [path.stem for path in series.lesson_paths()] == [*config.LESSONS, *config.APPENDICES]
    assert [path.stem for path in exercises.solution_paths()] == config.LESSONS
    for path in [*series.lesson_paths(), *exercises.solution_paths()]:
        assert path.is_file()


Usage = namedtuple("Usage", "free")


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """Make this project's notebooks folder of the test the current one."""
    monkeypatch.setattr(home, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path / "notebooks"


def test_a_notebook_whose_results_cannot_be_written_stops_in_its_first_cell(notebooks, tmp_path, monkeypatch):
    home.check_notebook(tmp_path / "runs" / "full")
    monkeypatch.setattr(home.os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit, match=r"could not be saved, since .* cannot be written. Copy the whole project"):
        home.check_notebook(tmp_path / "runs" / "full")
    (notebooks / "exercises").mkdir()
    monkeypatch.chdir("exercises")
    with pytest.raises(SystemExit, match="cannot be written"):
        home.check_notebook(tmp_path / "runs" / "full")


def test_a_notebook_on_a_full_disk_stops_in_its_first_cell(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(home.shutil, "disk_usage", lambda path: Usage(2_000_000))
    with pytest.raises(SystemExit, match="the disk is full: 2 MB are free, and 50 MB are needed"):
        home.check_notebook(tmp_path / "runs")


def test_a_file_in_place_of_the_folder_is_told_too(notebooks, tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(SystemExit, match="cannot be written"):
        home.check_notebook(tmp_path / "runs" / "full")


def test_a_script_or_a_submission_elsewhere_is_not_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(home.os, "access", lambda path, mode: False)
    home.check_notebook(tmp_path / "runs")


@pytest.mark.parametrize("inside", ["notebooks", "notebooks/exercises", "notebooks/my own/deeper"])
def test_a_notebook_of_another_copy_of_the_project_is_told_whose_helpers_it_got(inside, tmp_path, monkeypatch):
    other = tmp_path / "second copy"
    (other / inside).mkdir(parents=True)
    monkeypatch.chdir(other / inside)
    home.check_notebook(config.RUNS_DIR)  # a folder of notebooks alone is no copy
    (other / "helpers").mkdir()
    (other / "helpers" / "config.py").touch()
    with pytest.raises(SystemExit, match=r"part of .*second copy, but its helpers are those of .*make lab"):
        home.check_notebook(config.RUNS_DIR)
    with pytest.raises(SystemExit, match=r"part of .*second copy"):
        runpy.run_path(CONFIG)
    [row] = machine.check_machine()
    assert not row.fine and "second copy" in row.found and str(config.ROOT) in row.found and "make lab" in row.advice


def test_the_start_page_shows_a_setting_that_is_wrong(monkeypatch):
    monkeypatch.setenv("FAST", "maybe")
    monkeypatch.delitem(sys.modules, "helpers.config")
    monkeypatch.delitem(sys.modules, "helpers.device")
    monkeypatch.delitem(sys.modules, "helpers.fetch")
    monkeypatch.delattr("helpers.config")
    assert "FAST is 'maybe'" in machine.check_device().advice
    assert "FAST is 'maybe'" in machine.check_data().advice


def test_a_link_to_the_project_is_no_other_copy(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(config.ROOT)
    assert home.other_project(tmp_path / "link" / "notebooks") is None
