"""Rows 20 to 29 of the fault matrix that concern training, injected into tiny trainings."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from app.errors import Cancelled, TrainingError
from app.training import checkpoints, trainer
from tests.training.conftest import lesson, tiny, tiny32  # noqa: F401  (fixtures)
from tests.training.test_session import stop_at, train


def once(function, problem, *, at=1, times=1):
    """``function`` that raises ``problem`` at its calls number at .. at + times - 1."""
    calls = {"count": 0}

    def wrapped(*args, **kwargs):
        calls["count"] += 1
        if at <= calls["count"] < at + times:
            raise problem
        return function(*args, **kwargs)

    return wrapped


OOM = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("problem", [OOM, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
                         ids=["card", "host", "allocator"])
def test_20_out_of_memory_at_the_first_step_retries_smaller_with_the_same_result(lesson, tiny32, monkeypatch, problem):  # noqa: F811
    how = {"eval_rows": 0, "max_steps": 3, "dtype": "float32"}
    straight = lesson("straight", tiny32)
    train(straight, **how)
    monkeypatch.setattr(trainer, "answer_loss", once(trainer.answer_loss, problem))
    ctx = lesson("short", tiny32)
    made = train(ctx, **how)
    assert ctx.said("Memory ran out at step 1. Each batch now goes through in 2 parts")
    assert made["training"].summary["batch_parts"] == 2
    assert ctx.series("train.loss") == pytest.approx(straight.series("train.loss"), rel=1e-4)


def test_20_out_of_memory_is_retried_twice_and_then_explained(lesson, monkeypatch):  # noqa: F811
    monkeypatch.setattr(trainer, "answer_loss", once(trainer.answer_loss, OOM, at=1, times=99))
    ctx = lesson()
    with pytest.raises(TrainingError, match="memory ran out at step 1") as failed:
        train(ctx, eval_rows=0, batch_tokens=512)
    assert failed.value.code == "training.out_of_memory"
    assert sum("Memory ran out" in message for _, message in ctx.events) == 2


def test_20_out_of_memory_at_a_save_keeps_the_weights(lesson, monkeypatch):  # noqa: F811
    monkeypatch.setattr(trainer, "save_file", once(trainer.save_file, OOM, at=2))
    ctx = lesson()
    made = train(ctx, eval_rows=0, max_steps=4, checkpoint_every=2)
    assert ctx.said("The checkpoint at step 2 could not be saved")
    assert checkpoints.newest(ctx.workdir / "checkpoints")[0].name == "step-00000004"
    assert made["training"].summary["steps"] == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_21_a_loss_that_is_no_number_stops_at_once_and_keeps_the_last_good(lesson, monkeypatch, value):  # noqa: F811
    real, calls = trainer.answer_loss, {"count": 0}

    def spoilt(*args):
        total, count = real(*args)
        calls["count"] += 1
        return (total * value if calls["count"] == 6 else total), count

    monkeypatch.setattr(trainer, "answer_loss", spoilt)
    ctx = lesson()
    with pytest.raises(TrainingError, match="step 6: the loss is not a number"):
        train(ctx, eval_rows=0, checkpoint_every=2)
    kept, _ = checkpoints.newest(ctx.workdir / "checkpoints")
    assert kept.name == "step-00000004"
    assert all(bool(torch.isfinite(tensor).all()) for tensor in load_file(kept / "adapter_model.safetensors").values())
    assert ctx.said("The last good state is kept: step 4")


def test_21_a_gradient_that_is_no_number_takes_no_step(lesson, monkeypatch):  # noqa: F811
    class Spoil(torch.autograd.Function):
        @staticmethod
        def forward(ctx, total):
            return total.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("nan")

    real = trainer.answer_loss
    monkeypatch.setattr(trainer, "answer_loss", lambda *args: (lambda found: (Spoil.apply(found[0]), found[1]))(real(*args)))
    with pytest.raises(TrainingError, match="step 1: the gradient is not a number"):
        train(lesson(), eval_rows=0)


def test_22_a_lost_card_is_named_and_the_training_resumable(lesson, monkeypatch):  # noqa: F811
    with monkeypatch.context() as broken:
        lost = RuntimeError("CUDA error: unspecified launch failure")
        broken.setattr(trainer, "answer_loss", once(trainer.answer_loss, lost, at=6))
        with pytest.raises(TrainingError, match=r"card stopped answering\. Step 4 is saved") as failed:
            train(lesson(), eval_rows=0, checkpoint_every=2)
    assert failed.value.code == "training.device_lost"
    again = lesson()
    assert train(again, eval_rows=0, checkpoint_every=2)["training"].summary["steps"] == 8
    assert again.said("Going on from step 4")


KILLED = """
import json, os, signal, sys
from pathlib import Path
from app.store import Profile, Store
from app.training import session, trainer
from tests.context import FakeContext, make_rows
from tests.training.conftest import lesson_rows
from tests.training.test_session import train

session._base = lambda ctx, params: Path(sys.argv[2])
session._set_threads = lambda ctx: None
real, calls = trainer.save_file, []

def killed_in_the_second_checkpoint(tensors, file):
    calls.append(file)
    if len(calls) == 5:
        Path(file).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    real(tensors, file)

trainer.save_file = killed_in_the_second_checkpoint
with Store.open(Profile(Path(sys.argv[1]) / "profile")) as store:
    rows = make_rows(store, lesson_rows()).model_copy(update={"content_hash": "equal rows"})
    ctx = FakeContext(store, Path(sys.argv[1]) / "one", base_model=sys.argv[2], inputs={"rows": rows})
    train(ctx, **json.loads(sys.argv[3]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_24_a_training_killed_in_a_checkpoint_goes_on_from_the_one_before_and_ends_bit_equal(lesson, tmp_path, tiny):  # noqa: F811
    how = {"accumulate": 2, "checkpoint_every": 2, "max_steps": 6, "eval_rows": 0, "dtype": "bfloat16"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(tiny), json.dumps(how)], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    torn = tmp_path / "one" / "work" / "checkpoints" / "partial-00000004"
    assert any(file.read_bytes() == b"half" for file in torn.iterdir())
    again = lesson("one")
    again.inputs["rows"] = again.inputs["rows"].model_copy(update={"content_hash": "equal rows"})
    resumed, straight = train(again, **how), train(lesson("straight"), **how)
    assert again.said("Going on from step 2")
    assert not torn.exists()
    one, other = (load_file(f"{made['model'].path}/adapter_model.safetensors") for made in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


WRITER = """
import sys, time
from pathlib import Path
from app.training import checkpoints
root = Path(sys.argv[1])
def slow(folder):
    for part in range(40):
        (folder / f"part{part}.safetensors").write_bytes(bytes([part]) * 200_000)
step = 0
while True:
    step += 1
    checkpoints.write(root, step, slow, {"step": step})
    checkpoints.keep_newest(root, 2)
    print(step, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.02, 0.04])
def test_24_a_kill_in_a_checkpoint_leaves_the_newest_complete_one(tmp_path, delay):
    root = tmp_path / "checkpoints"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True,
                              cwd=Path(__file__).parents[2])
    acknowledged = [int(writer.stdout.readline()) for _ in range(3)][-1]
    time.sleep(delay)
    os.kill(writer.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    acknowledged = max([acknowledged, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    found, rejected = checkpoints.newest(root)
    assert not rejected
    assert checkpoints.verify(found)["step"] >= acknowledged


def test_25_a_full_volume_in_a_checkpoint_is_said_and_the_older_one_intact(lesson, monkeypatch):  # noqa: F811
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(trainer, "save_file", once(trainer.save_file, full, at=5, times=1))  # in the second checkpoint
    ctx = lesson()
    train(ctx, eval_rows=0, max_steps=5, checkpoint_every=2)
    assert ctx.said("The checkpoint at step 4 could not be saved: [Errno 28] No space left on device")
    found, rejected = checkpoints.newest(ctx.workdir / "checkpoints")
    assert found.name == "step-00000002"
    assert not rejected
    assert not list((ctx.workdir / "checkpoints").glob("partial-*"))


def test_25_safetensors_own_report_of_a_full_disk_is_recognised(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from app.training.trouble import is_disk_full

    report = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    monkeypatch.setattr(trainer, "save_file", once(trainer.save_file, report))
    with pytest.raises(OSError, match="No space left") as failed:
        trainer._save({"a": torch.zeros(4)}, tmp_path / "a.safetensors")
    assert is_disk_full(failed.value)
    assert failed.value.filename == str(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["optimizer.safetensors", "adapter_model.safetensors", "state.json", "manifest.json"])
def test_26_a_flipped_byte_rejects_the_checkpoint(tmp_path, name):
    def fill(folder):
        for file in ("optimizer.safetensors", "adapter_model.safetensors", "state.json"):
            (folder / file).write_bytes(b"content of " + file.encode())

    checkpoints.write(tmp_path, 1, fill, {"step": 1})
    damaged = checkpoints.write(tmp_path, 2, fill, {"step": 2}) / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    found, rejected = checkpoints.newest(tmp_path)
    assert found.name == "step-00000001"
    assert [item.path.name for item in rejected] == ["step-00000002"]


def test_26_a_resume_rejects_damage_says_so_and_falls_back(lesson):  # noqa: F811
    ctx = lesson()
    stop_at(7, "pause")(ctx)
    with pytest.raises(Cancelled):
        train(ctx, checkpoint_every=3)
    newest = sorted((ctx.workdir / "checkpoints").glob("step-*"))[-1]
    file = newest / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    again = lesson()
    train(again, checkpoint_every=3)
    assert again.said(f"{newest.name} was not used: the content of optimizer.safetensors was changed or damaged")
    assert again.said("Going on from step 6")


@pytest.mark.parametrize(("changed", "words", "code"), [
    pytest.param("dataset", "the dataset changed", "training.data_changed", id="dataset"),
    pytest.param("rate", "the settings or the base model changed", "training.config_changed", id="settings"),
])
def test_27_a_resume_after_a_change_is_refused_with_the_reason(lesson, changed, words, code):  # noqa: F811
    ctx = lesson()
    stop_at(3, "pause")(ctx)
    with pytest.raises(Cancelled):
        train(ctx)
    again = lesson()
    if changed == "dataset":
        again.inputs["rows"] = again.inputs["rows"].model_copy(update={"content_hash": "other"})
    with pytest.raises(TrainingError, match=words) as refused:
        train(again, **({"learning_rate": 5e-3} if changed == "rate" else {}))
    assert refused.value.code == code
    assert refused.value.where.file.startswith(str(ctx.workdir))
    assert checkpoints.newest(ctx.workdir / "checkpoints")[0] is not None


def test_28_a_volume_that_is_gone_stops_the_training_and_is_named(lesson):  # noqa: F811
    ctx = lesson()

    def unmount():
        if ctx.series("train.loss") and ctx.workdir.exists():
            ctx.workdir.rename(ctx.workdir.with_name("elsewhere"))

    ctx.cancel = unmount
    with pytest.raises(FileNotFoundError) as gone:  # the step worker pauses the run for it, and names its folder
        train(ctx, eval_rows=0, checkpoint_every=2)
    assert gone.value.filename.startswith(str(ctx.workdir))
    assert not ctx.workdir.exists(), "nothing may be written where the volume was mounted"


def test_28_a_volume_that_is_gone_is_no_checkpoint_to_shrug_off(lesson, monkeypatch):  # noqa: F811
    gone = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(trainer, "save_file", once(trainer.save_file, gone))
    with pytest.raises(OSError, match="Input/output error"):  # the step worker pauses the step for it
        train(lesson(), eval_rows=0, checkpoint_every=2)


def test_29_a_full_tmpdir_does_not_touch_a_checkpoint(lesson, monkeypatch):  # noqa: F811
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("mkstemp", "mkdtemp", "gettempdir"):
        monkeypatch.setattr(tempfile, name, full)
    ctx = lesson()
    train(ctx, max_steps=2, checkpoint_every=1)
    found, rejected = checkpoints.newest(ctx.workdir / "checkpoints")
    assert found.name == "step-00000002"
    assert not rejected
