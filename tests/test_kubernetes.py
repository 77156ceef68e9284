"""The class on Kubernetes: values and image fit the chart's schema, the linters, and this project. No cluster here."""

import copy
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import median

import jsonschema
import pytest
import yaml

from helpers import config
from helpers.machine import NEEDED_DISK, needed_memory

FOLDER = config.ROOT / "deploy" / "kubernetes"
VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))
STUDENT = VALUES["singleuser"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((config.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def without_required(schema):
    """Return a schema without the lists of what must be there: the chart's own values have it."""
    if isinstance(schema, list):
        return [without_required(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: part for key, part in schema.items() if not (key == "required" and isinstance(part, list))}
    return {key: without_required(part) for key, part in kept.items()}


def mistakes(values):
    schema = without_required(json.loads((FOLDER / "values.schema.json").read_text(encoding="utf-8")))
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(values)]


def test_the_values_fit_the_schema_of_the_chart():
    assert mistakes(VALUES) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [(["singeluser"], {}), (["singleuser", "memory", "limits"], "3G"), (["singleuser", "storage", "capacity"], 2)],
)
def test_the_schema_finds_a_wrong_key_and_a_wrong_kind(path, value):
    values = copy.deepcopy(VALUES)
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    [mistake] = mistakes(values)
    assert path[-1] in mistake or str(value) in mistake


def linter(name):
    program = Path(sys.executable).parent / name
    if not program.exists():
        pytest.skip(f"there is no {name} for this system")
    return program


def test_the_linters_have_nothing_to_say():
    rules = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"
    for command in (
        [linter("yamllint"), "--strict", "-d", rules, "values.yaml"],
        [linter("hadolint"), "Dockerfile"],
    ):
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def gigabytes(size):
    number, unit = re.fullmatch(r"([\d.]+)(G|Gi)", size).groups()
    return float(number) * {"G": 1, "Gi": 1.024**3}[unit]


def test_a_student_has_what_the_lessons_were_recorded_to_take():
    recorded = json.loads((config.ROOT / "notebooks" / "run_times.json").read_text(encoding="utf-8"))
    limits = STUDENT["memory"]
    assert gigabytes(limits["limit"]) >= needed_memory() + 0.5
    assert gigabytes(limits["guarantee"]) >= median(recorded["peak_memory"].values())
    assert gigabytes(STUDENT["storage"]["capacity"]) >= 2 * NEEDED_DISK
    assert STUDENT["extraEnv"]["OMP_NUM_THREADS"] == str(STUDENT["cpu"]["limit"])


def test_image_and_values_name_what_the_project_has():
    python = re.search(r"^FROM python:(\d+\.\d+)-", DOCKERFILE, flags=re.MULTILINE)[1]
    recorded = json.loads((config.ROOT / "notebooks" / "run_times.json").read_text(encoding="utf-8"))
    assert PROJECT["requires-python"] == f">={python}" and recorded["python"].startswith(f"{python}.")
    assert STUDENT["image"]["tag"] == PROJECT["version"]
    image = STUDENT["image"]["name"].split("/")[1]
    assert image == PROJECT["name"] and f"{image}:{PROJECT['version']} " in DOCKERFILE
    assert (config.ROOT / STUDENT["defaultUrl"].removeprefix("/lab/tree/")).is_file()
    assert re.search(r"^setup:", (config.ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert {".venv", "runs", "data/FashionMNIST"} <= set(ignored)


def test_the_command_of_the_image_starts_in_a_copy_of_the_student(tmp_path):
    """With its own shell line, elsewhere: what stands for JupyterHub's program says where it was started."""
    programs = tmp_path / "bin"
    programs.mkdir()
    hub = programs / "jupyterhub-singleuser"
    hub.write_text("#!/bin/sh\npwd\npython -P -c 'import helpers; print(helpers.__file__)'\n")
    hub.chmod(0o755)
    home = tmp_path / "home" / "class" / "fashion-mnist-lessons"
    command = json.loads(re.search(r"^CMD (.*)", DOCKERFILE, flags=re.MULTILINE)[1])
    environment = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "COPY": str(home),
        "PYTHONPATH": f"{home}/.python",
    }
    done = subprocess.run(command, cwd=config.ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(home), str(home / ".python" / "helpers" / "__init__.py")], done.stderr
    assert (home / "notebooks" / "00_start_here.ipynb").is_file() and not (home / ".venv").exists()
    shutil.rmtree(home.parent)
