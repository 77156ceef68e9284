"""Setting up with make: where it cannot work, after a move, as root; the commands and line ends of the project."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest

from build_tools import moved
from helpers import config

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not here")
NAMES = ["plain", "a space", 'it\'s $HOME #1 (ü) & "co"']


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a project whose environment notes how its Python is called."""

    def make(name):
        folder = tmp_path / name
        for path in ("data/FashionMNIST/raw", ".venv/bin", "notebooks", "helpers"):
            (folder / path).mkdir(parents=True)
        (folder / "data/FashionMNIST/raw/t10k-labels-idx1-ubyte").touch()
        for file in ("requirements.txt", "pyproject.toml"):
            (folder / file).touch()
        shutil.copy(config.ROOT / "Makefile", folder)
        python = folder / ".venv/bin/python"
        python.write_text('#!/bin/sh\necho "$@" >> calls.txt\n')
        python.chmod(0o755)
        (folder / ".venv/.ready").write_text(f"{folder}\n")
        return folder

    return make


def run_make(folder, *words):
    (folder / "calls.txt").unlink(missing_ok=True)
    pipe = subprocess.PIPE
    done = subprocess.run(["make", *words], cwd=folder, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    calls = folder / "calls.txt"
    return done.returncode, done.stdout, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["setup", "run", "lab"])
def test_after_a_move_the_environment_is_adapted_once(name, target, project):
    folder = project("before")
    assert "-P build_tools/moved.py" not in run_make(folder, target)[2]
    folder = folder.rename(folder.parent / name)
    status, said, calls = run_make(folder, target)
    assert (status, calls[0]) == (0, "-P build_tools/moved.py") and "renamed, moved or copied" in said
    status, said, calls = run_make(folder, target)
    assert status == 0 and "-P build_tools/moved.py" not in calls and "renamed" not in said


def test_an_environment_that_cannot_be_adapted_is_told_and_tried_again(project):
    folder = project("before")
    folder = folder.rename(folder.parent / "after")
    (folder / ".venv/bin/python").unlink()
    for _ in range(2):
        status, said, _ = run_make(folder, "run")
        assert status != 0 and "delete the folder .venv" in said


PARTS = {"run": None, "lab": None, "demo": None, "test": "test", "test-class": "test", "test-full": "test"}
PARTS |= {"exercises": "grading", "slides": "slides", "site": "site", "bench-demo": "test", "bench-marking": "grading"}
PARTS |= {"hub": "hub", "bench-hub": "hub"}


@pytest.mark.parametrize(("target", "extra"), PARTS.items())
def test_a_target_brings_what_it_needs_once_and_again_when_the_list_changes(target, extra, project):
    folder = project("plain")

    def installed():
        status, _, calls = run_make(folder, target, f"PYTHON={folder / '.venv/bin/python'}")
        assert status == 0
        return [call.split()[-1] for call in calls if "build_tools/install.py --extra" in call]

    assert installed() == ([extra] if extra else [])
    assert installed() == []
    later = time.time() + 10
    os.utime(folder / "pyproject.toml", (later, later))
    assert installed() == ([extra] if extra else [])


def test_an_extra_that_cannot_be_installed_is_tried_again(project):
    folder = project("plain")
    python = folder / ".venv/bin/python"
    python.write_text(f"{python.read_text()}exit 1\n")
    for _ in range(2):
        status, _, [call] = run_make(folder, "test")
        assert status != 0 and call == "-P build_tools/install.py --extra test"


@pytest.mark.parametrize("words", [[], ["TORCH=cpu"], ["TORCH=a b", "TORCH_CPU_INDEX=http://other/"]])
def test_a_choice_by_hand_is_looked_at_each_time(words, project):
    folder = project("plain")
    for _ in range(2):
        _, _, calls = run_make(folder, "setup", f"PYTHON={folder / '.venv/bin/python'}", *words)
        installs = [call for call in calls if "build_tools/install.py" in call]
        assert len(installs) == bool(words)
        assert all(word.partition("=")[2] in installs[0] for word in words)


def test_every_requirement_is_named_once_and_what_only_some_need_is_an_extra():
    lines = (config.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [re.split("[>=]", line)[0] for line in lines if line[0] not in "#-"]
    extras = tomllib.loads((config.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    further = [re.split("[>=]", line)[0] for lines in extras["optional-dependencies"].values() for line in lines]
    assert len({*needed, *further}) == len(needed + further)
    assert "nbval" in needed and {"nbgrader", "voila", "playwright", "pytest", "ruff"} <= set(further)


def test_root_gets_the_option_that_jupyter_asks_it_for(project, tmp_path, monkeypatch):
    folder = project("plain")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for user, allowed in (("0", True), ("1000", False)):
        (tmp_path / "id").write_text(f"#!/bin/sh\necho {user}\n")
        (tmp_path / "id").chmod(0o755)
        _, said, [call] = run_make(folder, "lab")
        assert call.startswith("-m jupyterlab ") and ("--allow-root" in call, "You are root" in said) == (allowed,) * 2


def test_a_missing_python_is_told(project):
    folder = project("plain")
    shutil.rmtree(folder / ".venv")
    status, said, _ = run_make(folder, "run", "PYTHON=no-such-python")
    assert status != 0 and "Python 3.11 or newer is needed, but no-such-python is older or missing" in said


@pytest.mark.parametrize(("status", "told"), [(0, False), (1, True)])
def test_the_oldest_packages_get_an_environment_of_their_own_under_the_oldest_python(status, told, project, tmp_path):
    folder, python = project("plain"), tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
case "$1" in
-c) exit {status};;
-m) mkdir -p "$4/bin"; cp .venv/bin/python "$4/bin/python"; cp .venv/bin/python "$4/bin/uv";;
esac
"""
    )
    python.chmod(0o755)
    done, said, calls = run_make(folder, "test-oldest", f"PYTHON={python}")
    assert (done != 0, "The oldest packages need Python 3.11" in said) == (told, told)
    if not told:
        assert "--resolution lowest-direct -r requirements.txt -e .[test]" in calls[1]
        assert "-m pytest" in calls[-1] and "--ignore=tests/test_browser.py" in calls[-1]
        assert "FAST=1" in said and (folder / ".venv/.ready").exists()


def test_commands_are_written_for_the_python_that_runs(tmp_path):
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "pytest").write_text("#!/gone/python\n")
    moved.write_scripts(folder)
    assert {"jupyter", "jupyter-lab", "nbgrader", "alembic", "pytest"} <= {path.name for path in folder.iterdir()}
    said = subprocess.run([folder / "pytest", "--version"], capture_output=True, text=True, check=True)
    assert "pytest" in said.stdout + said.stderr and sys.executable in (folder / "pytest").read_text()


def test_line_ends_are_those_of_unix_on_every_system(tmp_path):
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b"]
    if not shutil.which("git"):
        pytest.skip("git is not here")
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in (".gitattributes", "Makefile", "conftest.py", ".ci/run", "notebooks/00_start_here.ipynb"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(config.ROOT / name, source / name)
    (source / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=source, check=True, capture_output=True)
    subprocess.run([*git, "clone", "-q", source, target], check=True, capture_output=True)
    files = [path for path in target.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert len(files) == 6
    assert [path.name for path in files if b"\r\n" in path.read_bytes()] == ["picture.png"]


@pytest.mark.parametrize(("status", "told"), [(1, True), (0, False)])
def test_where_no_pytorch_is_to_be_had_the_last_words_say_so(status, told, tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(config.ROOT / name, tmp_path)
    for name in (".venv/bin", "build_tools", "tools"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(config.ROOT / "build_tools/install.py", tmp_path / "build_tools")
    # In place of what installs a script that fails where no torch is found, in place of `venv` nothing.
    python, uv = tmp_path / ".venv/bin/python", tmp_path / "tools/uv"
    uv.write_text(f'#!/bin/sh\necho "ERROR: No matching distribution"\nexit {status}\n')
    python.write_text(f'#!/bin/sh\ncase "$*" in "-P "*) exec "{sys.executable}" "$@";; esac\n')
    for file in (python, uv):
        file.chmod(0o755)
    command = ["make", "--no-print-directory", f"PYTHON={python}", "TORCH_CPU_INDEX=http://127.0.0.1:9", ".venv/.ready"]
    path = f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert (done.returncode != 0) is told
    last = done.stderr.rstrip().splitlines()[-2] if told else ""
    assert last.startswith("The packages could not be installed") is told
    assert ("README.md" in last) is told and (tmp_path / ".venv" / ".ready").exists() is not told


def test_the_readme_says_where_it_runs():
    readme = " ".join((config.ROOT / "README.md").read_text(encoding="utf-8").split())
    for system in ("64-bit Linux", "Apple silicon", "Intel processor", "Windows on ARM", "32-bit", "Alpine"):
        assert system in readme
    assert "No matching distribution found for torch" in readme


def test_the_tests_say_in_a_line_that_their_folder_cannot_be_written(tmp_path):
    (tmp_path / "helpers").mkdir()
    for name in ("conftest.py", "helpers/__init__.py", "helpers/home.py"):
        shutil.copy(config.ROOT / name, tmp_path / name)
    (tmp_path / "runs").touch()  # where a folder should be, which not even root can write to
    done = subprocess.run([sys.executable, "-m", "pytest"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    assert re.fullmatch(
        "What is trained here could not be saved, since .*runs cannot be written. .*", done.stderr.strip()
    )
