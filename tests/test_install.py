"""Which builds of PyTorch the set-up takes, and what it does without them, with package indexes of our own."""

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from pathlib import Path

import pytest

from build_tools import install

REQUIREMENTS = "torch>=2.6\ntorchvision>=0.21\nother>=1\n"
USUAL = {"torch": ["2.9.0", "3.0.0"], "torchvision": ["0.24.0", "0.30.0"], "other": ["1.0"]}
CPU = {"torch": ["2.9.0+cpu"], "torchvision": ["0.24.0+cpu"]}


def add_index(folder, packages):
    """Write a package index with tiny wheels; a torchvision needs the torch of the same place in the list."""
    for name, versions in packages.items():
        (folder / name).mkdir(parents=True)
        for number, version in enumerate(versions):
            wheel = f"{name}-{version}-py3-none-any.whl"
            info = f"{name}-{version}.dist-info"
            needs = f"Requires-Dist: torch=={packages['torch'][number]}\n" if name == "torchvision" else ""
            with zipfile.ZipFile(folder / name / wheel, "w") as file:
                file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
                file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                file.writestr(f"module_of_{name}.py", "")
                file.writestr(f"{info}/RECORD", f"module_of_{name}.py,,\n")
        links = [f'<a href="{file.name.replace("+", "%2B")}">{file.name}</a>' for file in (folder / name).glob("*.whl")]
        (folder / name / "index.html").write_text("<!DOCTYPE html>" + "".join(links))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve the indexes: the usual one, one of CPU builds, one whose builds are too old, and one without packages."""
    folder = tmp_path_factory.mktemp("indexes")
    add_index(folder / "usual", USUAL)
    add_index(folder / "cpu", CPU)
    add_index(folder / "old", {"torch": ["2.5.0+cpu"], "torchvision": ["0.20.0+cpu"]})
    (folder / "empty").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Make one environment with pip, to be copied."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder


def pretend(monkeypatch, system="linux", processor="x86_64", driver=False, smi=False, uv=None):
    """Let `install` see another machine than this one."""
    monkeypatch.setattr(install.sys, "platform", system)
    monkeypatch.setattr(install.platform, "machine", lambda: processor)
    monkeypatch.setattr(install, "DRIVER", install.ROOT / ("Makefile" if driver else "no such file"))
    found = {"nvidia-smi": "nvidia-smi" if smi else None, "uv": uv}
    monkeypatch.setattr(install.shutil, "which", found.get)


@pytest.fixture
def environment(fresh, address, tmp_path, monkeypatch):
    """Let `install` work on a new environment, with an index in place of PyPI; return what tells its packages."""
    folder = tmp_path / "environment"
    shutil.copytree(fresh, folder, symlinks=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_INDEX_URL": f"{address}/usual", "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    for name, value in {"UV_DEFAULT_INDEX": f"{address}/usual", "UV_CACHE_DIR": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)  # the tests bring one
    pretend(monkeypatch)

    def packages():
        script = "from importlib import metadata as m; [print(d.name, d.version) for d in m.distributions()]"
        told = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True).stdout
        return {name: version for name, version in map(str.split, told.splitlines()) if name in USUAL}

    packages.uv = uv
    packages.compiled = lambda: {path.name.split(".")[0] for path in folder.rglob("module_of_*.pyc")}
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install.sys, "executable", str(python))
    monkeypatch.setattr(install, "version_of_torch", lambda: packages().get("torch", ""))
    return packages


WITH_CPU = {"torch": "2.9.0+cpu", "torchvision": "0.24.0+cpu", "other": "1.0"}
WITHOUT = {"torch": "3.0.0", "torchvision": "0.30.0", "other": "1.0"}


@pytest.mark.parametrize(
    ("choice", "machine", "cpu"),
    [
        ("auto", {}, True),
        ("auto", {"driver": True}, False),
        ("auto", {"smi": True}, False),
        ("auto", {"processor": "aarch64"}, False),
        ("auto", {"system": "win32", "processor": "AMD64"}, False),
        ("auto", {"system": "darwin", "processor": "arm64"}, False),
        ("auto", {"system": "darwin"}, False),
        ("cpu", {"driver": True, "smi": True}, True),
        ("cpu", {"processor": "aarch64"}, True),
        ("cpu", {"system": "darwin", "processor": "arm64"}, False),
        ("cuda", {}, False),
    ],
)
def test_cpu_builds_are_for_linux_on_x86_without_a_driver_or_by_hand(choice, machine, cpu, monkeypatch):
    pretend(monkeypatch, **machine)
    assert install.wants_cpu_builds(choice) is cpu


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_cpu_builds_come_from_their_own_index_and_the_rest_from_the_usual_one(
    tool, environment, address, monkeypatch, capfd
):
    if tool == "uv":
        if not environment.uv:
            pytest.skip("uv is not here")
        pretend(monkeypatch, uv=environment.uv)
    # Whoever uses several indexes must not get one package from here and one from there.
    for name in ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, f"{address}/usual")
    install.main(["--cpu-index", f"{address}/cpu"])
    assert environment() == WITH_CPU
    said = capfd.readouterr().out
    assert f"about {install.CPU_SIZE}" in said and "could not be had" not in said
    # Where Python may write no bytecode, each process would otherwise compile PyTorch and all the rest anew.
    assert environment.compiled() == {f"module_of_{name}" for name in WITH_CPU}


def test_a_second_set_up_leaves_what_is_there(environment, address, monkeypatch, capfd):
    install.main(["--cpu-index", f"{address}/cpu"])
    pretend(monkeypatch, driver=True)
    install.main(["--cpu-index", f"{address}/cpu"])
    pretend(monkeypatch)
    install.main(["--cpu-index", "http://127.0.0.1:9"])
    assert environment() == WITH_CPU
    said = capfd.readouterr().out
    assert said.count("It downloads") == 1 and "could not be had" not in said


@pytest.mark.parametrize("index", ["old", "empty"])
def test_an_index_without_fitting_packages_gives_way_to_the_usual_one(index, environment, address, capfd):
    install.main(["--cpu-index", f"{address}/{index}"])
    assert environment() == WITHOUT
    said = capfd.readouterr().out
    assert f"could not be had from {address}/{index}: " in said and "The usual builds are taken" in said


def test_an_index_that_cannot_be_reached_gives_way_to_the_usual_one(environment, address, capfd):
    install.main(["--cpu-index", "http://127.0.0.1:9"])
    install.main(["--cpu-index", f"{address}/cpu"])
    assert environment() == WITHOUT
    [line] = [line for line in capfd.readouterr().out.splitlines() if "could not be had" in line]
    assert "refused" in line and install.CUDA_SIZE in line


def look_up_slowly(*words, **more):
    time.sleep(4)
    raise OSError("too late for anybody")


def test_an_index_that_never_answers_is_given_up_after_seconds(monkeypatch):
    assert install.SECONDS <= 5
    monkeypatch.setattr(install, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert "no answer" in install.what_is_wrong_with(f"http://127.0.0.1:{silent.getsockname()[1]}")
    # Names too may be looked up without end.
    monkeypatch.setattr(install.urllib.request, "urlopen", look_up_slowly)
    assert "no answer" in install.what_is_wrong_with("http://a-name")
    assert time.monotonic() - started < 3


def test_a_choice_by_hand_replaces_the_other_builds(environment, address, monkeypatch):
    install.main(["--torch", "cuda", "--cpu-index", f"{address}/cpu"])
    assert environment() == WITHOUT
    pretend(monkeypatch, driver=True)
    install.main(["--torch", "cpu", "--cpu-index", f"{address}/cpu"])
    assert environment() == WITH_CPU
    install.main(["--torch", "cuda", "--cpu-index", f"{address}/cpu"])
    assert environment() == WITHOUT


def test_cpu_builds_by_hand_are_not_replaced_by_gigabytes(environment):
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1:9: .*TORCH_CPU_INDEX=.*TORCH=cuda"):
        install.main(["--torch", "cpu", "--cpu-index", "http://127.0.0.1:9"])
    assert environment() == {}


def test_what_is_there_stays_where_the_other_builds_cannot_be_had(environment, address, monkeypatch):
    install.main(["--torch", "cuda", "--cpu-index", f"{address}/cpu"])
    for index in ("http://127.0.0.1:9", f"{address}/old"):
        with pytest.raises(SystemExit, match="could not be had"):
            install.main(["--torch", "cpu", "--cpu-index", index])
        assert environment() == WITHOUT
    install.main(["--torch", "cpu", "--cpu-index", f"{address}/cpu"])
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/empty")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{address}/empty")
    with pytest.raises(SystemExit, match="could not be installed"):
        install.main(["--torch", "cuda", "--cpu-index", f"{address}/cpu"])
    assert environment() == WITH_CPU


def test_another_choice_is_told(environment):
    with pytest.raises(SystemExit, match=r"TORCH=gpu is not known.*TORCH=cpu, TORCH=cuda"):
        install.main(["--torch", "gpu"])
    assert environment() == {}


@pytest.mark.parametrize(
    ("machine", "size"),
    [({"driver": True}, install.CUDA_SIZE), ({"system": "win32"}, install.OTHER_SIZE), ({}, install.CPU_SIZE)],
)
def test_before_the_first_download_its_size_is_told(machine, size, monkeypatch, capsys):
    pretend(monkeypatch, **machine)
    told = []
    monkeypatch.setattr(install, "version_of_torch", lambda: "")
    monkeypatch.setattr(install, "what_is_wrong_with", lambda index: "")
    monkeypatch.setattr(install, "install", lambda *words, **more: told.append(capsys.readouterr().out) or True)
    install.main([])
    assert f"It downloads about {size} " in told[0]


def test_an_extra_that_cannot_be_installed_is_told(monkeypatch):
    wanted = []
    monkeypatch.setattr(install, "install", lambda *words: wanted.extend(words))
    with pytest.raises(SystemExit, match="The packages for 'test' could not be installed"):
        install.main(["--extra", "test"])
    assert wanted == ["-e", ".[test]"]


def test_the_script_needs_nothing_that_is_installed():
    command = [sys.executable, "-I", "-S", str(install.ROOT / "build_tools" / "install.py"), "--torch", "gpu"]
    assert "TORCH=gpu is not known" in subprocess.run(command, capture_output=True, text=True).stderr
