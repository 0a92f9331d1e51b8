"""Kill a writing process again and again; nothing it has acknowledged may be lost.

    python tests/faults/kill_store.py --kills 1000

prints kills, acknowledged rows, what is missing and what the integrity check says; exit code 0 if all is well.
A child acknowledges a row on a pipe only after its transaction is committed.  Children come from a fork server that has the
imports done, so that a kill costs some 30 ms.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.store import Profile, Store
from app.store.integrity import check_catalogue
from app.store.series import SeriesWriter


@dataclass
class Outcome:
    """acknowledged: rows that a child said were written.  missing: those that are not there.  problems: integrity findings."""

    kills: int = 0
    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def processes() -> Any:
    """A context that starts children fast where the platform can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["app.store.connection", "app.store.catalogue", "app.store.series", "app.store.backup"])
    return context


def write_rows(home: str, name: str, acknowledge: Connection) -> None:
    """In the child: write in three ways until killed."""
    store = Store.open(Profile(Path(home)))
    series = SeriesWriter(store, "kill")
    number = 0
    while True:
        token = f"{name}-{number}"
        if number % 3 == 0:
            store.db.execute("INSERT INTO commands (kind, payload, created) VALUES ('t', ?, 0)", (token,))
        elif number % 3 == 1:
            with store.write() as db:
                db.execute("INSERT INTO commands (kind, payload, created) VALUES ('t', ?, 0)", (token,))
                db.execute("INSERT INTO settings (key, value, updated) VALUES (?, ?, 0)", (token, "x" * 3000))
        else:
            series.event(token)
            series.flush()
        acknowledge.send_bytes(token.encode())
        number += 1


def kill_once(context: Any, profile: Profile, name: str, chance: random.Random) -> list[str]:
    """Start a writer, kill it at a random moment; what it acknowledged."""
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=write_rows, args=(str(profile.home), name, theirs), daemon=True)
    child.start()
    theirs.close()
    heard: list[str] = []
    until = None
    try:
        while until is None or time.monotonic() < until:
            if ours.poll(0.0005 if until is not None else 30):
                heard.append(ours.recv_bytes().decode())
                until = until or time.monotonic() + chance.random() * 0.03
            elif until is None:
                raise AssertionError("The writer acknowledged nothing within 30 s.")
        child.kill()
        while True:  # what was said before the kill counts
            heard.append(ours.recv_bytes().decode())
    except EOFError:
        pass
    finally:
        child.kill()
        child.join()
        ours.close()
    return heard


def present(store: Store, heard: list[str]) -> list[str]:
    """Which acknowledged rows are missing."""
    found = {row["payload"] for row in store.rows("SELECT payload FROM commands WHERE kind = 't'")}
    found |= {row["message"] for row in store.rows("SELECT message FROM events WHERE run = 'kill'")}
    return [token for token in heard if token not in found]


def campaign(home: Path, kills: int, seed: int = 0) -> Outcome:
    """Kill so often on one profile; the acknowledged rows of each writer are looked for after its own kill and at the end."""
    began, context, chance = time.monotonic(), processes(), random.Random(seed)
    profile, outcome, everything = Profile(home), Outcome(), []
    for number in range(kills):
        heard = kill_once(context, profile, str(number), chance)
        everything += heard
        outcome.kills += 1
        with Store.open(profile) as store:
            outcome.missing += present(store, heard)
            if store.gap:
                outcome.problems.append(store.gap)
    with Store.open(profile) as store:
        outcome.missing += present(store, everything)
        outcome.problems += check_catalogue(store)
    outcome.acknowledged, outcome.seconds = len(everything), time.monotonic() - began
    return outcome


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    os.environ["NEUROWEAVER_KEYRING"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(Path(folder) / "profile", given.kills, given.seed)
    print(f"{found.kills} kills, {found.acknowledged:,} acknowledged rows, {len(found.missing)} missing, "
          f"integrity {found.problems or 'ok'}, {found.seconds:.0f} s")
    return 1 if found.missing or found.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
