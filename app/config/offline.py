"""Offline mode: no process of ours opens a connection to another computer; each attempt is refused, counted and listed.

Two layers hold it.  In every Python process of ours an audit hook sees each connection, datagram and name look-up before it
happens (``sys.addaudithook``; it cannot be taken out again).  On Linux a worker that needs no network loses it for good: a
seccomp filter makes the kernel refuse its internet sockets, also to native code and to the programs it starts.

The main processes call :func:`enforce`; what they start learns of it by an environment variable and calls :func:`begin`.
Sources: PEP 578; Linux ``seccomp(2)`` and ``Documentation/userspace-api/seccomp_filter.rst``.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import platform
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from app.store import Store

VARIABLE = "NEUROWEAVER_OFFLINE"
"""Names the list of refused attempts; set exactly while offline mode is on."""
FILE = "refused-connections.jsonl"
MOST_NOTES = 5_000
"""Lines one process writes; what a loop tries after that is refused without a line."""
Need = Literal["none", "listen", "loopback"]
"""What of the network a process needs: nothing; to accept connections; to call this computer itself."""


@dataclass(slots=True)
class _Watch:
    """State of this process.  log: where attempts are listed, None while online."""

    log: Path | None = None
    program: str = ""
    hooked: bool = False
    noted: int = 0


_watch = _Watch()


@dataclass(frozen=True, slots=True)
class Refused:
    """One attempt.  at: Unix seconds; target: host and port as the program named them."""

    at: float
    program: str
    pid: int
    target: str


# -- switching it on ---------------------------------------------------------------------------------------------------------


def enforce(logs: Path, on: bool, program: str) -> None:
    """Switch this process, and those that it starts from now on, to offline mode or back.

    logs: the profile's folder for logs.  program: what the list calls this process.
    """
    _watch.program = program
    if not on:
        _watch.log = None
        os.environ.pop(VARIABLE, None)
        return
    os.environ[VARIABLE] = str(logs / FILE)
    _watch.log = logs / FILE
    _hook_in()


def follow(store: Store, program: str) -> None:
    """Do as the setting ``offline`` says."""
    from app.store import settings

    enforce(store.profile.logs, bool(settings.get(store, "offline")), program)


def begin(program: str, need: Need = "none") -> None:
    """First thing a worker does: take on what its parent decided.  Without offline mode it changes nothing."""
    place = os.environ.get(VARIABLE)
    if not place:
        return
    _watch.log, _watch.program = Path(place), program
    _hook_in()
    if need != "loopback":
        close_sockets(need)


def _hook_in() -> None:
    if not _watch.hooked:
        _watch.hooked = True
        sys.addaudithook(_audit)


# -- Python's own sockets ----------------------------------------------------------------------------------------------------

_BY_ADDRESS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_BY_NAME = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"})


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket.") or _watch.log is None:  # called for every import and open: the usual way out is first
        return
    target = _target(event, arguments)
    if target is not None and not is_here(target[0]):
        name = f"{target[0]}:{target[1]}" if target[1] else target[0]
        _note(_watch.log, name)
        raise PermissionError(errno.EACCES, f"Offline mode is on, so no connection to {name} was made. "
                                            "Settings can allow connections to other computers.")


def _target(event: str, arguments: tuple[Any, ...]) -> tuple[str, Any] | None:
    """(host, port) that a call is about, or None where it stays on this computer by its kind."""
    if event in _BY_ADDRESS:
        family, address = arguments[0].family, arguments[1]
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return None
        return _text(address[0]), address[1]
    if event in _BY_NAME:
        host = arguments[0][0] if event == "socket.getnameinfo" else arguments[0]
        return (_text(host), arguments[1] if event == "socket.getaddrinfo" else None) if host else None
    return None


def _text(host: Any) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes | bytearray) else str(host)


def is_here(host: str) -> bool:
    """Whether a host is this computer: a loopback or unspecified address, or the name localhost."""
    if host.rstrip(".").lower() == "localhost" or not host:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def _note(log: Path, target: str) -> None:
    _watch.noted += 1
    if _watch.noted > MOST_NOTES:
        return
    line = json.dumps({"at": round(time.time(), 3), "program": _watch.program, "pid": os.getpid(), "target": target[:200]})
    with contextlib.suppress(OSError):  # a full disk must not turn a refusal into a connection
        log.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode() + b"\n")  # one write: lines of several processes do not mix
        finally:
            os.close(handle)


def refused(logs: Path, newest: int = 100) -> tuple[int, list[Refused]]:
    """How many attempts were refused so far, and the newest of them, newest first."""
    try:
        lines = (logs / FILE).read_bytes().splitlines()
    except OSError:
        return 0, []
    found: list[Refused] = []
    for line in reversed(lines[len(lines) - min(newest, len(lines)):]):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line of a killed process may be short
            one = json.loads(line)
            found.append(Refused(float(one["at"]), str(one["program"]), int(one["pid"]), str(one["target"])))
    return len(lines), found


# -- the kernel's filter -----------------------------------------------------------------------------------------------------

_LD, _JEQ, _JGE, _AND, _RET = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24
_IO_URING_SETUP, _X32 = 425, 0x40000000
_MACHINES = {"x86_64": (0xC000003E, 41, 42, 317), "aarch64": (0xC00000B7, 198, 203, 277)}
"""Audit architecture, and the numbers of socket, connect and seccomp."""
_STREAM_TYPES = 0xF


def close_sockets(need: Need) -> bool:
    """Have the kernel refuse internet sockets to this process and all it starts.  Whether that is in force (Linux only).

    need "none": no internet socket at all.  "listen": no outgoing connection and no datagrams; accepting goes on.
    """
    machine = _MACHINES.get(platform.machine())
    if not sys.platform.startswith("linux") or machine is None:
        return False
    import ctypes

    program = b"".join(_filter(machine, need))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS, without which only root may set a filter
        return False
    libc.syscall.restype = ctypes.c_long
    every_thread = 1  # SECCOMP_FILTER_FLAG_TSYNC
    return int(libc.syscall(ctypes.c_long(machine[3]), ctypes.c_uint(1), ctypes.c_uint(every_thread), header)) == 0


def _filter(machine: tuple[int, int, int, int], need: Need) -> list[bytes]:
    """The BPF program.  Jumps count the instructions to skip: (code, if true, if false, operand)."""
    arch, socket_number, connect_number, _ = machine
    refuse, unknown = _RET, _RET
    check = [  # a socket is asked for: by family, then (for "listen") by type
        (_LD, 0, 0, _ARG0), (_JEQ, 2, 0, int(socket.AF_INET)), (_JEQ, 1, 0, 10), (_RET, 0, 0, _ALLOW),
        *([(_LD, 0, 0, _ARG1), (_AND, 0, 0, _STREAM_TYPES), (_JEQ, 0, 1, 1), (_RET, 0, 0, _ALLOW)] if need == "listen" else []),
        (refuse, 0, 0, _ERRNO | errno.EACCES)]
    head = [
        (_LD, 0, 0, _ARCH), (_JEQ, 1, 0, arch), (unknown, 0, 0, _ERRNO | errno.ENOSYS), (_LD, 0, 0, _NUMBER),
        (_JGE, 1, 0, _X32), (_JEQ, 0, 1, _IO_URING_SETUP), (unknown, 0, 0, _ERRNO | errno.ENOSYS),
        *([(_JEQ, 0, 1, connect_number), (refuse, 0, 0, _ERRNO | errno.EACCES)] if need == "listen" else []),
        (_JEQ, 1, 0, socket_number), (_RET, 0, 0, _ALLOW)]
    return [struct.pack("=HBBI", *one) for one in head + check]
