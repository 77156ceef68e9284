"""Every way in which bringing the data can go wrong ends in the right data or in one clear message.

No test uses the network: what is fetched comes from the real files in data/, by way of a copy.
"""

import filecmp
import gzip
import hashlib
import http.client
import runpy
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from helpers import fetch

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_data_that_is_there_and_right_is_left_alone(raw, real):
    shutil.copytree(real, raw)
    before = {path: path.stat().st_mtime_ns for path in raw.iterdir()}
    assert "is right (SHA-256 checked)" in fetch.fetch()
    assert {path: path.stat().st_mtime_ns for path in raw.iterdir()} == before


def test_nothing_reachable_names_each_route_why_it_failed_and_what_to_do(raw, home, fetch_fails):
    message = fetch_fails()
    assert f"{home / 'no such folder'} has no train-images-idx3-ubyte" in message
    assert "torchvision's download: Error downloading train-images-idx3-ubyte.gz" in message
    assert "Name or service not known" in message
    assert "Debian's package dataset-fashion-mnist, by apt: this system has no apt-get" in message
    assert "go online and run `python -m helpers.data` again" in message and "FASHION_MNIST_DIR" in message
    assert all(f"{name}.gz" in message for name in fetch.SHA256)
    assert not raw.exists()


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_command_ends_with_the_message_alone(raw):
    with pytest.raises(SystemExit, match="could not be brought to this machine"):
        runpy.run_module("helpers.data", run_name="__main__")


@pytest.mark.parametrize(
    ("damage", "name", "said"),
    [
        (truncate, IMAGES, f"{IMAGES} is truncated: 47,040,015 of 47,040,016 bytes"),
        (flip_a_byte, IMAGES, f"{IMAGES} was altered"),
        (flip_a_byte, LABELS, f"{LABELS} was altered"),
        (Path.unlink, LABELS, f"has no {LABELS}"),
    ],
)
def test_damaged_data_is_replaced_and_the_student_told_why(raw, copy, real, capsys, damage, name, said, assert_right):
    shutil.copytree(real, raw)
    damage(raw / name)
    assert "was brought to" in fetch.fetch()
    assert_right()
    assert said in capsys.readouterr().out


def test_damaged_data_stays_when_nothing_better_is_reachable(raw, real, capsys, fetch_fails):
    shutil.copytree(real, raw)
    truncate(raw / LABELS)
    assert "could not be brought" in fetch_fails()
    assert "is truncated: 10,007 of 10,008 bytes" in capsys.readouterr().out
    assert (raw / LABELS).stat().st_size == 10_007


@pytest.mark.parametrize("damage", [truncate, flip_a_byte])
def test_a_damaged_copy_is_refused_and_nothing_written(raw, copy, damage, fetch_fails):
    damage(copy / LABELS)
    assert f"{copy}: {LABELS} " in fetch_fails()
    assert not raw.exists()


def test_digits_of_mnist_are_recognised(raw, copy, monkeypatch, fetch_fails):
    digits = bytes(10_008)  # another file of the right size, here in the part of MNIST's
    (copy / LABELS).write_bytes(digits)
    monkeypatch.setitem(fetch.MNIST_SHA256, LABELS, hashlib.sha256(digits).hexdigest())
    assert f"{LABELS} holds the handwritten digits of MNIST, not Fashion-MNIST" in fetch_fails()
    assert not raw.exists()


def test_a_compressed_copy_is_unpacked(copy, assert_right):
    (copy / f"{LABELS}.gz").write_bytes(gzip.compress((copy / LABELS).read_bytes()))
    (copy / LABELS).unlink()
    fetch.fetch()
    assert_right()


def test_compressed_files_put_into_data_by_hand_are_unpacked(raw, real):
    shutil.copytree(real, raw)
    (raw / f"{LABELS}.gz").write_bytes(gzip.compress((raw / LABELS).read_bytes()))
    (raw / LABELS).unlink()
    fetch.fetch()
    assert filecmp.cmp(raw / LABELS, real / LABELS, shallow=False)


@pytest.mark.parametrize("position", [0, 10, -6, None])
def test_a_damaged_archive_is_refused_with_a_clear_message(copy, position, fetch_fails):
    packed = bytearray(gzip.compress((copy / LABELS).read_bytes(), mtime=0))
    if position is None:
        del packed[len(packed) // 2 :]
    else:
        packed[position : position + 4] = b"\xff\xff\xff\xff"
    (copy / f"{LABELS}.gz").write_bytes(packed)
    (copy / LABELS).unlink()
    assert f"{LABELS} cannot be read" in fetch_fails()


def test_torchvisions_download_is_checked_and_its_time_limit_undone(raw, real, monkeypatch, assert_right):
    def download(root, download):
        assert socket.getdefaulttimeout() == fetch.TIMEOUT
        shutil.copytree(real, Path(root) / "FashionMNIST" / "raw")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", download)
    assert "by: torchvision's download" in fetch.fetch()
    assert_right()
    assert socket.getdefaulttimeout() is None


def test_a_server_that_talks_nonsense_is_one_more_failed_route(monkeypatch, fetch_fails):
    def nonsense(**arguments):
        raise http.client.BadStatusLine("<html>log in here</html>")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", nonsense)
    assert "torchvision's download: <html>log in here</html>" in fetch_fails()


def test_debians_package_is_unpacked_in_a_folder_of_its_own(raw, real, monkeypatch, assert_right):
    commands = []

    def fake_run(command, cwd=None, **options):
        commands.append([str(part) for part in command])
        if "download" in command:
            (Path(cwd) / "dataset.deb").touch()
        if command[0] == "dpkg":
            shutil.copytree(real, Path(command[-1]) / fetch.DEBIAN_FOLDER)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fetch.subprocess, "run", fake_run)
    assert "by: Debian's package" in fetch.fetch()
    assert_right()
    assert [command[0] for command in commands] == ["apt-get", "apt-get", "dpkg"]
    assert all("Dir::State::lists=" in " ".join(command) for command in commands[:2])


def test_apts_first_complaint_is_told_because_update_only_warns(monkeypatch, fetch_fails):
    def fake_run(command, **options):
        if command[-1] == "update":
            return subprocess.CompletedProcess(command, 0, "", "W: Failed to fetch: no such host\n")
        return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package\n")

    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fetch.subprocess, "run", fake_run)
    assert "no such host" in fetch_fails()
