"""Before PyTorch loads OpenMP its threads are told to wait briefly, in whatever way Python is started."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from jupyter_client.manager import start_new_kernel
from jupyterlab.commands import get_app_dir

from helpers import config
from startup import openmp_settings

SETTINGS = openmp_settings.SETTINGS
DECISIONS = {*SETTINGS, "OMP_WAIT_POLICY", "KMP_LIBRARY"}
TOLD = "; ".join(["import os", *(f"print('{name}', os.environ.get('{name}'))" for name in SETTINGS)])


def started_by(**values: str) -> dict[str, str]:
    """Return the environment of a user who has set these values and no other of OpenMP's waiting."""
    return {name: value for name, value in os.environ.items() if name not in DECISIONS} | values


def python(*words: str, **values: str) -> subprocess.CompletedProcess:
    """Start Python in another folder, as a user who has set these values."""
    command = [sys.executable, *words]
    return subprocess.run(command, cwd="/", env=started_by(**values), capture_output=True, text=True, check=True)


def as_read(printed: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in printed.strip().splitlines())


@pytest.mark.parametrize("isolated", [[], ["-I"], ["-E"]])
def test_a_command_has_the_settings(isolated):
    assert as_read(python(*isolated, "-c", TOLD).stdout) == SETTINGS


def test_garbage_is_looked_for_less_often_from_the_start():
    ask = ["-c", "import gc; print(gc.get_threshold()[0])"]
    assert int(python(*ask).stdout) == 10_000
    assert int(python("-S", *ask).stdout) < 10_000, "Python itself looks as seldom by now: the line can go."


def test_a_script_of_another_folder_and_what_it_starts_have_the_settings(tmp_path):
    (tmp_path / "inner.py").write_text(TOLD)
    script = tmp_path / "a script.py"
    script.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, {str(tmp_path / 'inner.py')!r}])")
    assert as_read(python(str(script)).stdout) == SETTINGS


def test_a_kernel_of_the_environment_has_the_settings():
    manager, client = start_new_kernel(kernel_name="python3", env=started_by(), startup_timeout=60)
    try:
        printed = []
        client.execute_interactive(TOLD, output_hook=lambda m: printed.append(m["content"].get("text", "")), timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert as_read("".join(printed)) == SETTINGS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"GOMP_SPINCOUNT": "7"}, SETTINGS | {"GOMP_SPINCOUNT": "7"}),
        ({"KMP_BLOCKTIME": "infinite"}, SETTINGS | {"KMP_BLOCKTIME": "infinite"}),
        ({"KMP_LIBRARY": "turnaround"}, {"GOMP_SPINCOUNT": SETTINGS["GOMP_SPINCOUNT"]}),
        ({"OMP_WAIT_POLICY": "active"}, {}),
        ({"OMP_WAIT_POLICY": "passive"}, {}),
        # What a first Python has set comes to the second as if the user had set it.
        (SETTINGS | {"OMP_WAIT_POLICY": "passive"}, {}),
        ({"OMP_NUM_THREADS": "2"}, SETTINGS),
    ],
)
def test_what_the_user_decides_is_left_as_it_is(values, expected):
    environment = dict(values)
    openmp_settings.wait_briefly(environment)
    assert {name: environment[name] for name in SETTINGS if name in environment} == expected
    assert all(environment[name] == value for name, value in values.items() if name not in SETTINGS)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PyTorch brings GNU's OpenMP on Linux")
@pytest.mark.parametrize(
    ("values", "effective"), [({}, SETTINGS["GOMP_SPINCOUNT"]), ({"GOMP_SPINCOUNT": "123456"}, "123456")]
)
def test_openmp_itself_uses_what_is_set(values, effective):
    load = (
        "import ctypes, glob, importlib.util; lib = importlib.util.find_spec('torch').submodule_search_locations[0]; "
        "found = glob.glob(lib + '/lib/libgomp*'); ctypes.CDLL(found[0]) if found else __import__('torch')"
    )
    told = python("-c", load, OMP_DISPLAY_ENV="verbose", **values).stderr
    assert f"GOMP_SPINCOUNT = '{effective}'" in told


def test_the_environment_has_the_file_as_it_is_here():
    """An environment of an earlier set-up gets it by `pip install -r requirements.txt`, which `make` runs by itself."""
    installed = python("-c", "import openmp_settings; print(openmp_settings.__file__)").stdout.strip()
    source = config.ROOT / "startup" / "openmp_settings.py"
    with open(installed, encoding="utf-8") as file:
        assert file.read() == source.read_text(encoding="utf-8"), "run python -m pip install -r requirements.txt"
    makefile = (config.ROOT / "Makefile").read_text(encoding="utf-8")
    assert ".venv/.ready: requirements.txt pyproject.toml $(wildcard startup/*.p* startup/*.json)" in makefile
    assert (config.ROOT / "requirements.txt").read_text(encoding="utf-8").rstrip().endswith("-e .")
    included = tomllib.loads((config.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = included["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {f"startup/{path.name}" for path in (config.ROOT / "startup").iterdir() if path.is_file()}
    assert {*wheel["force-include"], *wheel["shared-data"]} == files


def test_jupyterlab_does_not_ask_whether_to_fetch_news():
    """The environment's file says so, in whatever way JupyterLab is started."""
    with open(os.path.join(get_app_dir(), "settings", "overrides.json"), encoding="utf-8") as file:
        assert json.load(file)["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_jupyters_server_is_told_to_take_large_photos():
    """The environment's file says so, in whatever way JupyterLab is started; a browser test uploads such a photo."""
    name = "jupyter_server_config.json"
    with open(os.path.join(sys.prefix, "etc", "jupyter", name), encoding="utf-8") as file:
        assert file.read() == (config.ROOT / "startup" / name).read_text(encoding="utf-8"), "run make setup"
