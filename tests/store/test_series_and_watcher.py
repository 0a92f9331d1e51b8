"""Figures are never lost or reordered; readers learn exactly what changed."""

from __future__ import annotations

import threading
import time

import pytest

from app.errors import StoreError
from app.store import Store, connection, series, settings, watcher
from app.store.series import SeriesWriter
from app.store.watcher import CALM_AFTER_SECONDS, Pace, Watcher, to_tick


def values(store: Store) -> list[float]:
    return [row["value"] for row in store.rows("SELECT value FROM metrics ORDER BY id")]


def until(check, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_figures_appear_within_the_batch_time_in_order(store):
    with SeriesWriter(store, "run", "step") as writer:
        for number in range(50):
            writer.metric("loss", number, x=number, unit="nats")
        until(lambda: len(values(store)) == 50, 2.0)
    row = store.row("SELECT * FROM metrics LIMIT 1")
    assert values(store) == list(range(50))
    assert (row["run"], row["step"], row["name"], row["unit"]) == ("run", "step", "loss", "nats")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_out(store, value):
    with SeriesWriter(store) as writer:
        writer.metric("loss", value)
        writer.metric("loss", 1.0)
    assert values(store) == [1.0]


def test_the_writer_outlives_a_locked_database_and_loses_nothing(profile, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_MS", 20)
    monkeypatch.setattr(series, "BATCH_SECONDS", 0.02)
    with Store.open(profile) as store, Store.open(profile) as other:
        with SeriesWriter(store, "run") as writer:
            with other.write() as db:
                db.execute("INSERT INTO settings VALUES ('x', '1', 0)")
                for number in range(100):
                    writer.metric("loss", number)
                    writer.event(f"event {number}")
                    time.sleep(0.002)  # several batches fail meanwhile
                assert writer._thread.is_alive()
                with pytest.raises(StoreError):
                    writer.flush()
            writer.metric("loss", 100)
            until(lambda: len(values(store)) == 101)
        assert values(store) == list(range(101))
        assert [row["message"] for row in store.rows("SELECT message FROM events ORDER BY id")] == [f"event {n}" for n in range(100)]


def test_closing_waits_for_a_locked_database(profile, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_MS", 20)
    with Store.open(profile) as store, Store.open(profile) as other:
        writer = SeriesWriter(store)
        writer.metric("loss", 1.0)
        other.db.execute("BEGIN IMMEDIATE")
        closing = threading.Thread(target=writer.close)
        closing.start()
        time.sleep(0.4)
        assert closing.is_alive()
        other.db.execute("COMMIT")
        closing.join(10)
        assert values(store) == [1.0]


def test_closing_gives_up_in_words(profile, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_MS", 20)
    monkeypatch.setattr(series, "CLOSING_SECONDS", 0.1)
    with Store.open(profile) as store, Store.open(profile) as other:
        writer = SeriesWriter(store)
        writer.metric("loss", 1.0)
        with other.write(), pytest.raises(StoreError) as caught:
            writer.close()
        assert caught.value.code == "store.busy"


def test_a_queue_that_grows_too_long_drops_the_oldest_and_says_so(profile, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_MS", 20)
    monkeypatch.setattr(series, "MOST_WAITING", 10)
    with Store.open(profile) as store, Store.open(profile) as other:
        with SeriesWriter(store) as writer, other.write():
            for number in range(25):
                writer.metric("loss", number)
            with pytest.raises(StoreError):
                writer.flush()
        assert values(store) == list(range(15, 25))
        assert "15 figures were lost" in store.row("SELECT message FROM events")["message"]


def test_threads_that_flush_at_once_keep_each_ones_order(store):
    def work(name: str) -> None:
        for number in range(100):
            writer.metric(name, number)
            if number % 10 == 0:
                writer.flush()

    with SeriesWriter(store) as writer:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "abc":
        rows = store.rows("SELECT value FROM metrics WHERE name = ? ORDER BY id", (name,))
        assert [row["value"] for row in rows] == list(range(100))


# ---- watcher ---------------------------------------------------------------------------------------------------------


def test_a_watcher_names_what_another_connection_changed_once(profile):
    with Store.open(profile) as mine, Store.open(profile) as theirs:
        watcher = Watcher(mine)
        assert watcher.poll() == set()
        settings.put(theirs, "threads", 1)
        theirs.db.execute("INSERT INTO commands (kind, payload, created) VALUES ('t', '', 0)")
        assert watcher.poll() == {"settings", "commands"}
        assert watcher.poll() == set()


def test_a_watcher_sees_its_own_connections_writes(store):
    watcher = Watcher(store)
    settings.put(store, "threads", 1)
    assert watcher.poll() == {"settings"}
    store.db.execute("DELETE FROM settings")
    assert watcher.poll() == {"settings"}


def test_a_watcher_sees_writes_of_another_thread(store):
    watcher = Watcher(store)
    thread = threading.Thread(target=lambda: settings.put(store, "threads", 1))
    thread.start()
    thread.join()
    assert watcher.poll() == {"settings"}


def test_what_was_rolled_back_is_no_change(store):
    watcher = Watcher(store)
    with pytest.raises(RuntimeError), store.write() as db:
        db.execute("INSERT INTO settings VALUES ('x', '1', 0)")
        raise RuntimeError
    assert watcher.poll() == set()


def test_two_watchers_learn_independently(store):
    first, second = Watcher(store), Watcher(store)
    settings.put(store, "threads", 1)
    assert first.poll() == {"settings"}
    assert second.poll() == {"settings"}


def test_every_watched_table_counts_inserts_updates_and_deletes(store):
    from app.store.catalogue import WATCHED

    triggers = {row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    assert {f"revision_{table}_{verb}" for table in WATCHED for verb in ("insert", "update", "delete")} <= triggers


def test_no_change_is_missed_while_another_connection_writes(profile):
    with Store.open(profile) as mine, Store.open(profile) as theirs:
        looking, done = Watcher(mine), threading.Event()

        def write() -> None:
            for number in range(200):
                theirs.db.execute("INSERT INTO commands (kind, payload, created) VALUES ('t', ?, 0)", (str(number),))
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        known = 0
        over = False
        while not over:
            over = done.is_set()  # asked before the poll: what was written by then must be told
            if "commands" in looking.poll():
                known = mine.row("SELECT count(*) AS n FROM commands")["n"]
        assert known == 200, "the last change was not told"
        thread.join()


def test_a_look_comes_often_after_a_change_and_seldom_once_it_is_calm(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watcher.time, "monotonic", lambda: now[0])
    pace = Pace(0.25, 1.0)
    assert (pace.seconds, pace.calm) == (0.25, False)
    now[0] += CALM_AFTER_SECONDS + 0.1
    assert (pace.seconds, pace.calm) == (1.0, True)
    pace.moved()
    assert (pace.seconds, pace.calm) == (0.25, False)


@pytest.mark.parametrize(("every", "now", "wait"), [
    pytest.param(0.5, 10.2, 0.3, id="to the next"), pytest.param(0.5, 10.5, 0.5, id="on one: to the one after"),
    pytest.param(0.25, 10.2, 0.05, id="a finer one falls on the coarser")])
def test_what_waits_for_the_same_ticks_wakes_together(every, now, wait):
    assert to_tick(every, now) == pytest.approx(wait)
