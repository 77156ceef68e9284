"""A study in a real PostgreSQL: two workers, one of them killed or frozen in the middle of a trial."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from helpers import config, tuning

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def server_programs():
    """Return the folder of PostgreSQL's server programs and what is missing, one of the two empty."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb") or next((str(folder / "initdb") for folder in reversed(folders)), None)
    if found is None:
        return None, "a PostgreSQL server (Debian: apt-get install postgresql)"
    if not hasattr(os, "fork"):
        return None, "a system with processes that can be frozen"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return None, 'the driver psycopg (pip install "psycopg[binary]")'
    return Path(found).parent, ""


PROGRAMS, MISSING = server_programs()
needs_server = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("CI"), reason=f"PostgreSQL is not tested: this machine lacks {MISSING}"
)


def as_server(command):
    """Return a command as the user of the database: PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@contextmanager
def server():
    """Start a PostgreSQL of its own in a temporary folder, and give its address."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a short path: its socket lies here too
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        data = str(folder / "data")
        options = ["-A", "trust", "-U", "student", "--no-sync", "--locale=C", "-E", "UTF8"]
        subprocess.run(as_server([str(PROGRAMS / "initdb"), "-D", data, *options]), **quiet)
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        begin = [str(PROGRAMS / "pg_ctl"), "-D", data, "-l", str(log), "-o", settings, "-w", "start"]
        subprocess.run(as_server(begin), **quiet)
        try:
            yield f"postgresql://student@127.0.0.1:{port}/postgres"
        finally:
            end = [str(PROGRAMS / "pg_ctl"), "-D", data, "-m", "immediate", "stop"]
            subprocess.run(as_server(end), **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def storage():
    assert not MISSING, f"CI must test PostgreSQL, but lacks {MISSING}"
    with server() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE", address)
        yield tuning.open_storage(heartbeat=1)


def worker(study, **changes):
    """Start a worker process by the command that a student types."""
    command = [sys.executable, "-m", "helpers.tuning", "work", "--study", study, "--heartbeat", "1"]
    environment = os.environ | {"FAST": "1", "OMP_NUM_THREADS": "1"} | changes
    return subprocess.Popen(command, cwd=config.ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def freeze_in_a_trial(processes, study, seconds=120):
    """Stop one of the processes so that it certainly has a trial under way; return it and the ticket of that trial."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)
        for process in processes:
            assert process.poll() is None, "the worker ended too early"
            if not tuning.tickets(study)["worker"].str.endswith(f":{process.pid}").any():
                continue  # it is still starting, and to stop it again and again would only make it slower
            process.send_signal(signal.SIGSTOP)
            table = tuning.tickets(study)
            mine = table[(table["state"] == "running") & table["worker"].str.endswith(f":{process.pid}")]
            if len(mine) and study.trials[mine["trial"].iloc[0]].params.keys() == tuning.SPACE.keys():
                return process, int(mine["ticket"].iloc[0])
            process.send_signal(signal.SIGCONT)
    raise AssertionError("no worker ever had a trial under way")


def settings_tried(study, ticket):
    return [trial.params for trial in study.trials if trial.user_attrs.get("ticket") == ticket]


def assert_each_counts_once(study, trials):
    table = tuning.tickets(study)
    assert list(table["ticket"]) == list(range(trials))
    assert set(table["state"]) <= {"complete", "pruned"}
    finished = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    counted = [trial.user_attrs["ticket"] for trial in study.get_trials(states=finished)]
    assert sorted(counted) == list(range(trials))


def kill(processes):
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@needs_server
def test_a_worker_killed_in_the_middle_of_a_trial_loses_none_and_none_counts_twice(storage):
    trials = 12
    study = tuning.start("killed", trials, storage)
    processes = [worker("killed"), worker("killed")]
    try:
        killed, ticket = freeze_in_a_trial(processes, study)
        killed.kill()
        killed.wait()
        [other] = [process for process in processes if process is not killed]
        assert other.wait(timeout=180) == 0
        said = other.stdout.read()
    finally:
        kill(processes)
    assert_each_counts_once(study, trials)
    first, second = settings_tried(study, ticket)
    assert first == second  # the same trial, not another in its place
    table = tuning.tickets(study).set_index("ticket")
    assert table.loc[ticket, "tries"] == 2
    assert table.loc[ticket, "worker"].endswith(f":{other.pid}")
    assert f"{trials} trials" in said and "begun again" in said


@needs_server
def test_a_worker_that_was_only_asleep_is_told_and_its_trial_counts_once(storage):
    study = tuning.start("asleep", 6, storage)
    processes = [worker("asleep")]
    try:
        _, ticket = freeze_in_a_trial(processes, study)
        time.sleep(4.2)  # longer than three heartbeats
        tuning.optuna.storages.fail_stale_trials(study)
        processes[0].send_signal(signal.SIGCONT)
        assert processes[0].wait(timeout=180) == 0
        assert "silent for too long" in processes[0].stdout.read()
    finally:
        kill(processes)
    assert_each_counts_once(study, 6)
    assert len(settings_tried(study, ticket)) == 2
