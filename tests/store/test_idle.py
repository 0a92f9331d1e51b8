"""A dataset's connection stays open for the next reader, for one reader at a time, and not longer than the dataset or the store."""

from __future__ import annotations

import threading

import pytest

from app.errors import DatasetError
from app.store import Store, idle
from app.store.datasets import erase_dataset, open_dataset, reading
from tests.context import make_rows
from tests.data.versions import chat


def dataset_of(store, name="a"):
    return make_rows(store, [chat("one"), chat("two")], name=name).dataset


def connection(store, dataset):
    with reading(store, dataset) as db:
        assert len(list(db.iter_rows(1))) == 2
        return db.conn


def closed(conn):
    try:
        conn.execute("SELECT 1")
    except Exception:
        return True
    return False


def test_the_next_reader_gets_the_same_connection_whatever_its_thread(store):
    dataset = dataset_of(store)
    first, found = connection(store, dataset), []
    thread = threading.Thread(target=lambda: found.append(connection(store, dataset)))
    thread.start()
    thread.join()
    assert found == [first]


def test_two_readers_at_once_have_a_connection_each(store):
    dataset = dataset_of(store)
    with reading(store, dataset) as one, reading(store, dataset) as other:
        assert one.conn is not other.conn


def test_a_reader_sees_what_was_written_since(store):
    dataset = dataset_of(store)
    connection(store, dataset)
    with open_dataset(store, dataset) as db:
        db.add_rows(2, [chat("three")])
    with reading(store, dataset) as db:
        assert [row.answer for row in db.iter_rows(2)] == [chat("three").answer]


def test_a_few_wait_and_the_oldest_is_closed(store):
    seen = [connection(store, dataset_of(store, str(number))) for number in range(idle.MOST + 2)]
    assert [closed(conn) for conn in seen] == [True, True] + [False] * idle.MOST


@pytest.mark.parametrize("in_use", [False, True], ids=["waiting", "in use"])
def test_none_outlives_its_dataset(store, in_use):
    dataset = dataset_of(store)
    conn = connection(store, dataset)
    if in_use:
        with reading(store, dataset):
            erase_dataset(store, dataset)
    else:
        erase_dataset(store, dataset)
    assert closed(conn)
    with pytest.raises(DatasetError), reading(store, dataset):
        pass


def test_none_outlives_the_store_and_no_half_done_transaction_goes_on(profile):
    with Store.open(profile) as store:
        dataset = dataset_of(store)
        with reading(store, dataset) as db:
            half_done = db.conn
            db.conn.execute("BEGIN")
        waiting = connection(store, dataset)
        assert closed(half_done)
    assert closed(waiting)
