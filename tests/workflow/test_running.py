"""The runner with real worker processes: states, cache, stopping, dying, resuming, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from app.config import offline
from app.errors import WorkflowError
from app.store import Store
from app.store.profile import project_dir
from app.workflow import follow, runbook, runs, states, views
from app.workflow.scheduler import Scheduler
from tests.workflow.running import alive, document, ended, read, running, service, state, step, wait


def test_a_run_is_done_and_an_equal_one_uses_its_results(store: Store, scheduler: Scheduler) -> None:
    first = runs.submit_text(store, document("pass"))
    assert ended(store, first) == "done"
    result = runs.result(store, first)
    assert [one["state"] for one in result["steps"]] == ["done", "done"]
    assert store.row("SELECT value FROM metrics WHERE run = ? AND name = 'made'", (first,)) == {"value": 1.0}
    second = runs.submit_text(store, document("pass"))
    assert ended(store, second) == "done"
    assert [one["cached"] for one in runs.result(store, second)["steps"]] == [True, True]
    third = runs.submit_text(store, document("pass", text="other"))
    assert ended(store, third) == "done"
    assert [one["cached"] for one in runs.result(store, third)["steps"]] == [False, False]
    assert store.row("SELECT count(*) AS n FROM usage WHERE run = ?", (first,)) == {"n": 2}
    assert runbook.forget_from(store, second, "act") == ["act"]
    fourth = runs.submit_text(store, document("pass"))
    assert ended(store, fourth) == "done"
    assert [one["cached"] for one in runs.result(store, fourth)["steps"]] == [True, False], "run again from the second step"
    assert runbook.forget_from(store, fourth, "make") == ["make", "act"]


def test_a_failed_step_says_why_and_the_worker_output_is_kept(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("fail"))
    assert ended(store, run) == "failed"
    assert runs.result(store, run)["error"] == {"type": "test.fail", "message": "It failed on purpose.", "hint": "Do not ask for it."}
    kept = [path for path in store.profile.step_folder(run, "make").rglob("output*") if path.is_file() and b"made it" in path.read_bytes()]
    assert kept


def test_a_killed_worker_is_explained_within_five_seconds(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("sleep"))
    running(store, run)
    os.kill(step(store, run)["pid"], signal.SIGKILL)
    assert ended(store, run, 5) == "failed"
    assert "killed" in runs.result(store, run)["error"]["message"]


@pytest.mark.parametrize(("act", "mode", "seconds"), [("sleep", "save", 5), ("sleep", "discard", 8), ("deaf", "discard", 10)])
def test_a_run_is_cancelled_within_ten_seconds(store: Store, scheduler: Scheduler, act: str, mode: str, seconds: float) -> None:
    run = runs.submit_text(store, document(act))
    wait(lambda: step(store, run)["state"] == "running")
    time.sleep(1.0)
    runs.cancel(store, run, mode)
    assert ended(store, run, seconds) == "cancelled"
    assert not psutil.pid_exists(step(store, run)["pid"])


def test_a_step_that_fails_before_it_begins_took_no_time(store: Store) -> None:
    run = runs.submit_text(store, document("pass"))
    states.fail_step(store, run, "act", WorkflowError("x.y", "It cannot be planned."))
    assert {one["id"]: one["seconds"] for one in runs.result(store, run)["steps"]} == {"make": 0.0, "act": 0.0}


def test_a_paused_run_goes_on_where_it_was(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("once"))
    running(store, run)
    runs.cancel(store, run, "pause")
    assert ended(store, run) == "paused"
    assert "error" not in runs.result(store, run)  # it was asked to
    assert runs.resume(store, run) == run
    assert ended(store, run) == "done"
    assert step(store, run, "make")["attempt"] == 1


def test_a_service_that_ends_waits_for_a_step_that_is_saving(store: Store) -> None:
    made = Scheduler(store)
    made.start()
    run = runs.submit_text(store, document("slow_save", seconds=7))
    running(store, run)
    made.stop(5.0)  # enough to hear of it, less than the step needs to save
    assert state(store, run) == "paused"
    assert read(next(store.profile.step_folder(run, "act").rglob("saved"), None)) == "yes"


def test_a_service_that_ends_does_not_wait_long_for_a_deaf_step(store: Store) -> None:
    made = Scheduler(store)
    made.start()
    run = runs.submit_text(store, document("deaf", seconds=300))
    wait(lambda: step(store, run)["state"] == "running")
    pid = step(store, run)["pid"]
    made.stop(1.0)
    wait(lambda: not alive(pid))


def test_a_step_that_calls_another_computer_is_refused_and_listed(store: Store, scheduler: Scheduler) -> None:
    offline.follow(store, "service")
    run = runs.submit_text(store, document("call"))
    assert ended(store, run) == "failed"
    assert "Offline mode is on" in json.dumps(runs.result(store, run)["error"])
    count, listed = offline.refused(store.profile.logs)
    assert (count, listed[0].program, listed[0].target) == (1, "step act", "192.0.2.1:443")


def test_only_one_step_holds_the_accelerator(store: Store, scheduler: Scheduler) -> None:
    first = runs.submit_text(store, document("sleep", seconds=120))
    running(store, first)  # the slot goes to whoever asks first: the other one may not come before
    second = runs.submit_text(store, document("sleep", text="b", seconds=0.1))
    wait(lambda: step(store, second, "make")["state"] == "done")
    time.sleep(0.7)
    assert step(store, first)["state"] == "running"
    assert step(store, second)["state"] == "queued"
    runs.cancel(store, first, "discard")
    assert ended(store, second) == "done"


def test_a_loud_worker_is_capped(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("loud"))
    assert ended(store, run, 60) == "done"
    size = sum(path.stat().st_size for path in store.profile.step_folder(run, "act").rglob("*") if path.is_file())
    assert size < 4 * 2**20


def test_the_night_between_a_stop_and_its_resume_is_no_part_of_the_runs_time(store: Store) -> None:
    run, now = runs.submit_text(store, document("pass")), time.time()
    store.db.execute("UPDATE runs SET state = 'paused', started = ?, ended = ? WHERE id = ?", (now - 36_060, now - 36_000, run))
    runs.resume(store, run)
    assert runs.result(store, run)["seconds"] == pytest.approx(60, abs=5)
    store.db.execute("UPDATE runs SET state = 'done', ended = ? WHERE id = ?", (now + 60, run))
    assert views.runs(store)[0].seconds == pytest.approx(120, abs=5)
    (ended_run,) = views.ended_since(store, now)
    assert ended_run.ended - ended_run.started == pytest.approx(120, abs=5)


def test_resume_is_refused_when_a_result_is_gone(store: Store, scheduler: Scheduler) -> None:
    run = runs.submit_text(store, document("fail"))
    assert ended(store, run) == "failed"
    next(store.profile.step_folder(run, "make").rglob("made.txt")).write_text("changed")
    with pytest.raises(runs.WorkflowError, match="another size"):
        runs.resume(store, run)


def test_a_killed_service_leaves_no_orphan_and_the_run_resumes(store: Store) -> None:
    run = runs.submit_text(store, document("child"))
    with service(store) as process:
        running(store, run)
        worker = step(store, run)["pid"]
        child = int(wait(lambda: read(next(store.profile.step_folder(run, "act").rglob("child.pid"), None))))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait(lambda: not alive(worker) and not alive(child), 2.0)
    with service(store):
        assert wait(lambda: state(store, run) == "paused" and "paused")
        assert step(store, run, "make")["state"] == "done"
    told = runs.result(store, run)
    assert told["error"]["type"] == "run.interrupted"
    assert "The service ended before the run was finished. Resume it" in follow.summary_lines(store, told)[-1]
    store.db.execute("UPDATE steps SET params = ? WHERE run = ? AND id = 'act'", (json.dumps({"act": "pass", "seconds": 1}), run))
    runs.resume(store, run)
    with service(store):
        assert ended(store, run) == "done"


def test_a_second_service_recognises_the_first(store: Store) -> None:
    with service(store):
        done = subprocess.run([sys.executable, "main.py", "service", "--json"], cwd=project_dir(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "service.running"


def test_the_service_never_imports_torch_or_qt(store: Store) -> None:
    code = ("import sys\nimport app.service, app.gateway.server, app.workflow.scheduler, app.serving.pool, app.costguard.sampler\n"
            "from app.workflow import registry\nregistry.nodes()\n"
            "print([name for name in ('torch', 'transformers', 'PySide6', 'trl', 'peft', 'datasets') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=project_dir(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
