"""Rows 16 to 19, 23, 28, 30 and 31 of the fault matrix: workers that die, sleep, hang, shout or lose their disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.config.presence import Presence, announce, find_service
from app.config.subprocess_tools import is_alive, kill_tree, run_child, started_at
from app.store import Store
from app.store.profile import project_dir
from app.workflow import attempt, pulse, registry, runs, states
from app.workflow.context import Signs
from app.workflow.exits import explain_exit
from app.workflow.output import read_output
from app.workflow.scheduler import Scheduler
from tests.workflow.running import NODES, alive, document, ended, read, running, service, state, step, wait


@pytest.fixture(autouse=True)
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NEUROWEAVER_NODES", str(NODES))
    registry.reload()
    yield
    registry.reload()


@pytest.fixture
def scheduler(store: Store) -> Iterator[Scheduler]:
    made = Scheduler(store)
    made.start()
    yield made
    made.stop(5)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


# 16, 23: ends without a result


@pytest.mark.parametrize(("code", "oom", "kind", "words"), [
    pytest.param(-9, 0, "worker.killed", "perhaps by the system for lack of memory", id="SIGKILL"),
    pytest.param(137, 0, "worker.killed", "137", id="exit 137"),
    pytest.param(-9, 1, "worker.out_of_memory", "the system ran out of memory", id="the system counted an OOM kill"),
    pytest.param(-11, 0, "worker.crashed", "segmentation fault", id="segfault"),
    pytest.param(139, 0, "worker.crashed", "segmentation fault", id="exit 139"),
    pytest.param(0xC0000005, 0, "worker.crashed", "segmentation fault", id="access violation on Windows"),
    pytest.param(-4, 0, "worker.crashed", "instruction that this processor does not have", id="illegal instruction"),
    pytest.param(-15, 0, "worker.killed", "signal 15", id="SIGTERM"),
    pytest.param(3, 0, "worker.exited", "exit code 3", id="plain exit"),
])
def test_an_exit_code_is_explained(code: int, oom: int, kind: str, words: str) -> None:
    error = explain_exit("train", code, oom_before=5, oom_after=5 + oom)
    assert error.code == kind
    assert words in error.message
    assert error.remedy


@pytest.mark.parametrize(("act", "kind"), [("kill", "worker.killed"), ("exit137", "worker.killed"), ("segv", "worker.crashed")])
def test_a_worker_that_ends_without_a_result_fails_within_five_seconds(store: Store, scheduler: Scheduler, act: str, kind: str) -> None:
    run = runs.submit_text(store, document(act))
    assert ended(store, run) == "failed"
    assert runs.result(store, run)["error"]["type"] == kind
    row = store.row("SELECT ended FROM runs WHERE id = ?", (run,)) or {}
    assert row["ended"] - step(store, run)["started"] < 5 + 10  # the worker's own start on busy cores, then 5 s


# 17: the front end is killed


def front_end(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "main.py", *words, "--json"], cwd=project_dir(), stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def test_a_killed_command_leaves_no_orphan_and_resume_completes_the_run(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(document("once", seconds=100))
    front = front_end("run", str(path))
    run = str(wait(lambda: (store.row("SELECT id FROM runs") or {}).get("id"), 60))
    running(store, run)
    found = find_service(store.profile)
    assert found is not None
    worker = step(store, run)["pid"]
    front.kill()
    front.wait()
    wait(lambda: not alive(worker) and not alive(found.pid), 2.0)
    assert state(store, run) == "running"  # nobody was left to say otherwise
    told = front_end("status")
    assert json.loads(told.communicate(timeout=60)[0])["state"] == "paused"
    told = front_end("resume", run)
    result = json.loads(told.communicate(timeout=120)[0])
    assert (told.returncode, result["state"]) == (0, "done")
    assert (step(store, run, "make")["attempt"], step(store, run)["attempt"]) == (1, 2)


def test_a_run_of_a_service_outlives_the_command_that_asked_for_it(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(document("sleep", seconds=6))
    with service(store):
        front = front_end("run", str(path))
        run = str(wait(lambda: (store.row("SELECT id FROM runs") or {}).get("id"), 60))
        running(store, run)
        front.kill()
        front.wait()
        assert ended(store, run) == "done"


def test_a_command_that_is_done_does_not_take_the_service_from_another_ones_run(store: Store, tmp_path: Path) -> None:
    for name, seconds in (("short", 3), ("long", 5)):
        (tmp_path / f"{name}.yaml").write_text(document("sleep", name, seconds=seconds))
    first = front_end("run", str(tmp_path / "short.yaml"))
    wait(lambda: store.row("SELECT 1 FROM steps WHERE state = 'running'"), 60)
    second = front_end("run", str(tmp_path / "long.yaml"))
    said = [json.loads(front.communicate(timeout=60)[0]) for front in (first, second)]
    assert [(front.returncode, one["state"]) for front, one in zip((first, second), said, strict=True)] == [(0, "done"), (0, "done")]
    assert find_service(store.profile) is None


def test_sigterm_lets_the_run_save_and_pause(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(document("sleep", seconds=100))
    front = front_end("run", str(path))
    run = str(wait(lambda: (store.row("SELECT id FROM runs") or {}).get("id"), 60))
    running(store, run)
    front.terminate()
    result = json.loads(front.communicate(timeout=40)[0])
    assert (front.returncode, result["state"]) == (1, "paused")
    assert find_service(store.profile) is None


# 18: a pid is used again


def test_a_stranger_with_a_reused_pid_is_neither_adopted_nor_killed(store: Store, bystander: subprocess.Popen[bytes]) -> None:
    run = runs.submit_text(store, document("sleep"))
    store.db.execute("UPDATE runs SET state = 'running' WHERE id = ?", (run,))
    real = started_at(bystander.pid)
    assert real is not None
    store.db.execute("UPDATE steps SET state = 'running', pid = ?, pid_started = ? WHERE run = ? AND id = 'act'",
                     (bystander.pid, real - 100, run))
    kill_tree(bystander.pid, started=real - 100)
    assert states.recover(store) == [run]
    assert (state(store, run), step(store, run)["state"]) == ("paused", "queued")
    assert bystander.poll() is None
    announce(store.profile, Presence(bystander.pid, real - 100, "http://127.0.0.1:1/v1", 1))
    assert find_service(store.profile) is None
    announce(store.profile, Presence(bystander.pid, real))
    assert find_service(store.profile) is not None


def test_a_worker_left_over_by_a_dead_service_is_ended_before_the_run_is_put_in_order(
    store: Store, bystander: subprocess.Popen[bytes]
) -> None:
    run = runs.submit_text(store, document("sleep"))
    store.db.execute("UPDATE runs SET state = 'running' WHERE id = ?", (run,))
    store.db.execute("UPDATE steps SET state = 'running', pid = ?, pid_started = ? WHERE run = ? AND id = 'act'",
                     (bystander.pid, started_at(bystander.pid), run))
    states.recover(store)
    assert bystander.wait(5) != 0


# 19, 31: asleep, or hung


def test_a_hung_worker_is_flagged_in_time_and_a_woken_one_goes_on(
    store: Store, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = attempt.HUNG_SECONDS + pulse.BEAT_SECONDS + 2.0
    assert longest <= 60
    monkeypatch.setattr(attempt, "HUNG_SECONDS", 4.0)
    run = runs.submit_text(store, document("sleep", seconds=20))
    running(store, run)
    pid = step(store, run)["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: str(step(store, run)["flagged"]).startswith(attempt.HUNG), 4.0 + pulse.BEAT_SECONDS + 2.0)
    assert state(store, run) == "running"
    os.kill(pid, signal.SIGCONT)
    wait(lambda: step(store, run)["flagged"] is None, 10)
    assert ended(store, run) == "done"
    said = [row["message"] for row in store.rows("SELECT message FROM events WHERE run = ? AND step = 'act'", (run,))]
    assert any("hung" in line for line in said)
    assert any("goes on after" in line for line in said)


@pytest.mark.parametrize(("act", "stopped"), [("deaf", False), ("sleep", True)], ids=["waits for ever", "stopped process"])
def test_a_hung_worker_can_be_killed(
    store: Store, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, act: str, stopped: bool
) -> None:
    monkeypatch.setattr(attempt, "HUNG_SECONDS", 4.0)
    run = runs.submit_text(store, document(act, seconds=300))
    wait(lambda: step(store, run)["state"] == "running")
    pid = step(store, run)["pid"]
    if stopped:
        running(store, run)
        os.kill(pid, signal.SIGSTOP)
    wait(lambda: str(step(store, run)["flagged"]).startswith(attempt.HUNG), 25)
    runs.cancel(store, run, "discard")
    assert ended(store, run, 10) == "cancelled"
    assert not alive(pid)


def test_a_step_that_computes_in_silence_is_said_to_be_silent_not_hung(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.5)
    run = runs.submit_text(store, document("sleep"))
    store.db.execute("UPDATE steps SET state = 'running', heartbeat = 1 WHERE run = ? AND id = 'act'", (run,))
    signs = Signs()
    beat = pulse.Pulse(store, run, "act", signs)
    beat.start()
    end = time.monotonic() + 30
    while not step(store, run)["flagged"] and time.monotonic() < end:
        sum(range(100_000))
    assert str(step(store, run)["flagged"]).startswith(pulse.SILENT)
    assert step(store, run)["heartbeat"] > 1
    signs.word()
    wait(lambda: signs.word() or step(store, run)["flagged"] is None, 5)
    beat.stop()


# 28: the volume goes away


def test_a_lost_output_volume_pauses_the_run_and_names_the_path(store: Store, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    store.profile.runs.rmdir()
    store.profile.runs.symlink_to(volume, target_is_directory=True)
    scheduler = Scheduler(store)
    scheduler.start()
    try:
        run = runs.submit_text(store, document("write", seconds=60))
        running(store, run)
        volume.rename(tmp_path / "elsewhere")
        assert ended(store, run) == "paused"
        why = json.loads(step(store, run)["why"])
        assert why["code"] == "worker.volume_gone"
        assert why["where"]["file"] == str(store.profile.step_folder(run, "act"))
        assert runs.result(store, run)["error"]["file"] == why["where"]["file"]
        (tmp_path / "elsewhere").rename(volume)
        store.db.execute("UPDATE steps SET params = ? WHERE run = ? AND id = 'act'", (json.dumps({"act": "pass", "seconds": 1}), run))
        runs.resume(store, run)
        assert ended(store, run) == "done"
    finally:
        scheduler.stop(5)


# 30: a gigabyte of output


def test_a_gigabyte_of_output_is_capped_and_its_ends_are_kept(store: Store, scheduler: Scheduler) -> None:
    before = psutil.Process().memory_info().rss
    run = runs.submit_text(store, document("gigabyte"))
    assert ended(store, run, 120) == "done"
    folder = store.profile.step_folder(run, "act")
    assert sum(path.stat().st_size for path in folder.glob("output*")) < 3.1e6
    assert read_output(folder).rstrip().endswith("the last words")
    assert psutil.Process().memory_info().rss - before < 100e6
    shutil.rmtree(folder)


# children of a worker


def test_a_child_in_a_session_of_its_own_dies_with_the_worker(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("tied"))
    running(store, run)
    child = int(wait(lambda: read(next(store.profile.step_folder(run, "act").rglob("child.pid"), None))))
    os.kill(step(store, run)["pid"], signal.SIGKILL)
    wait(lambda: not alive(child), 2.0)


def test_a_program_is_killed_when_its_tick_raises() -> None:
    begun = time.monotonic()
    before = psutil.Process().children(recursive=True)  # what other tests left running
    seen: list[psutil.Process] = []

    def tick() -> None:
        seen.extend(child for child in psutil.Process().children(recursive=True) if child not in before)
        if time.monotonic() - begun > 1:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        run_child([sys.executable, "-c", "import time; time.sleep(60)"], tick=tick)
    assert seen
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in seen)


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"longer than 0\.5 s"):
        run_child([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_a_process_is_known_by_pid_and_start_time() -> None:
    mine = started_at(os.getpid())
    assert mine is not None
    assert is_alive(os.getpid(), mine)
    assert not is_alive(os.getpid(), mine - 1)
