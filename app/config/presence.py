"""Which service runs for a profile: ``service.json``, believed only while that very process lives."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass

from app.config.subprocess_tools import is_alive
from app.store.profile import Profile

STEP_HEADER = "x-neuroweaver-step"
"""By it a request names the step ("run/step") that makes it: the step is charged for the machine, so the request is not."""

FOUND_ANOTHER = 2
"""Exit code of a service that found another one for its profile; that one may still be about to announce itself."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A running service.  ``started`` is its process's start time: with the pid it identifies the process.

    ``base_url`` is None until the endpoint answers (or where it is switched off); it ends in /v1.
    """

    pid: int
    started: float
    base_url: str | None = None
    port: int | None = None


def find_service(profile: Profile) -> Presence | None:
    """The service that runs for this profile, or None.  A file left behind, even with a reused pid, counts as none."""
    try:
        found = Presence(**json.loads(profile.service_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if is_alive(found.pid, found.started) else None


def announce(profile: Profile, presence: Presence) -> None:
    """Write ``service.json``, whole or not at all, readable by its owner alone."""
    beside = profile.home / f".service-{os.getpid()}.json"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump(asdict(presence), stream)
    beside.replace(profile.service_file)


def withdraw(profile: Profile) -> None:
    """Remove ``service.json`` if it is this process's own."""
    found = find_service(profile)
    if found is None or found.pid == os.getpid():
        with contextlib.suppress(OSError):
            profile.service_file.unlink()
