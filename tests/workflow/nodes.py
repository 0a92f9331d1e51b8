"""Small nodes for the runner's tests; found through NEUROWEAVER_NODES."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

from pydantic import Field

from app.config.artifacts import Artifact, File
from app.config.node import Node, Params, StepContext, node
from app.errors import Cancelled, DatasetError


class MakeParams(Params):
    """Parameters."""

    text: str = Field("x", description="Content")


@node("test.make", version=1, title="Make")
class Make(Node[MakeParams]):
    """Writes a file."""

    outputs = {"file": File}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        path = ctx.outputs_dir / "made.txt"
        path.write_text(self.params.text)
        ctx.metric("made", 1.0, x=1)
        print("made it")
        digest = hashlib.sha256(self.params.text.encode()).hexdigest()
        return {"file": File(content_hash=digest, path=str(path), size=len(self.params.text))}


class ActParams(Params):
    """Parameters."""

    act: str = Field("pass", description="What to do")
    seconds: float = Field(60.0, description="How long")


@node("test.act", version=1, title="Act")
class Act(Node[ActParams]):
    """Fails, hangs, dies or sleeps, as asked."""

    inputs = {"file": File}
    outputs = {"file": File}
    accelerator = True

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        getattr(self, f"_{self.params.act}")(ctx)
        made: File = ctx.input("file")
        return {"file": made}

    def _pass(self, ctx: StepContext) -> None:
        ctx.progress(1.0)

    def _fail(self, ctx: StepContext) -> None:
        raise DatasetError("test.fail", "It failed on purpose.", remedy="Do not ask for it.")

    def _kill(self, ctx: StepContext) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _sleep(self, ctx: StepContext) -> None:
        end = time.monotonic() + self.params.seconds
        while time.monotonic() < end:
            if ctx.cancel_requested() == "save":
                (ctx.workdir / "saved").write_text("yes")
                raise Cancelled(save=True)
            ctx.progress(0.5, "sleeping")
            time.sleep(0.05)

    def _slow_save(self, ctx: StepContext) -> None:
        """Takes ``seconds`` to keep what it has reached."""
        ctx.progress(0.5, "working")
        while ctx.cancel_requested() is None:
            time.sleep(0.05)
        time.sleep(self.params.seconds)
        (ctx.workdir / "saved").write_text("yes")
        raise Cancelled(save=True)

    def _call(self, ctx: StepContext) -> None:
        """Calls another computer, as a library that phones home would."""
        import socket

        socket.create_connection(("192.0.2.1", 443), timeout=5)

    def _once(self, ctx: StepContext) -> None:
        """Sleeps in the first attempt only."""
        mark = ctx.workdir / "tried"
        if not mark.exists():
            mark.write_text("yes")
            self._sleep(ctx)

    def _deaf(self, ctx: StepContext) -> None:
        time.sleep(self.params.seconds)

    def _child(self, ctx: StepContext) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        (ctx.workdir / "child.pid").write_text(str(child.pid))
        self._sleep(ctx)

    def _loud(self, ctx: StepContext) -> None:
        line = "x" * 1023 + "\n"
        for _ in range(30_000):
            sys.stdout.write(line)

    def _gigabyte(self, ctx: StepContext) -> None:
        block = b"x" * (2**20 - 1) + b"\n"
        for _ in range(1024):
            os.write(1, block)
        os.write(1, b"the last words\n")

    def _exit137(self, ctx: StepContext) -> None:
        os._exit(137)

    def _segv(self, ctx: StepContext) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _write(self, ctx: StepContext) -> None:
        """Writes results for as long as it can."""
        for number in range(int(self.params.seconds * 20)):
            (ctx.outputs_dir / f"{number}.txt").write_text("x")
            ctx.progress(0.5, "writing")
            time.sleep(0.05)

    def _tied(self, ctx: StepContext) -> None:
        """Has a child of its own in another session, started as nodes shall start one."""
        from app.config.subprocess_tools import start_child

        child = start_child([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
        (ctx.workdir / "child.pid").write_text(str(child.pid))
        self._sleep(ctx)
