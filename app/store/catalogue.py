"""The catalogue's tables, as migrations.  JSON columns hold UTF-8 JSON text; times are Unix seconds (REAL).

A migration is never edited once released: add the next one, and raise SCHEMA.
"""

from __future__ import annotations

from typing import Any

from app.errors import Place, StoreError
from app.store.connection import Store
from app.store.light import Migrations
from app.store.profile import Profile

SCHEMA = 4
"""Equals the number of migrations; written to PRAGMA user_version."""

WATCHED = (
    "settings", "commands", "documents", "datasets", "dataset_versions", "runs", "steps", "metrics", "events",
    "models", "model_versions", "deployments", "evaluations", "requests", "usage", "api_keys", "samples",
)
"""Tables whose revision is counted for readers; see watcher.py."""

migrations = Migrations("catalogue")

_FIRST = """
CREATE TABLE revisions (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated REAL NOT NULL);

-- A command is a row: the service sees it and acts.  kind: submit, cancel, resume, deploy, undeploy, ...
CREATE TABLE commands (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued',
    created REAL NOT NULL, finished REAL, result TEXT, error TEXT);

CREATE TABLE documents (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL, hash TEXT NOT NULL,
    created REAL NOT NULL, UNIQUE (name, version));

-- key: the random key of this dataset's own database; deleting it erases the data.
CREATE TABLE datasets (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT, created REAL NOT NULL, erased REAL,
    origin TEXT NOT NULL DEFAULT '{}');

-- state: writing, ready, failed.  origin: JSON (file, hash, mapping, run, step).  report: JSON of what was done and why.
CREATE TABLE dataset_versions (
    dataset TEXT NOT NULL REFERENCES datasets(id) ON DELETE CASCADE, version INTEGER NOT NULL, state TEXT NOT NULL,
    parent INTEGER, shape TEXT, rows INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0, splits TEXT NOT NULL DEFAULT '{}', content_hash TEXT, note TEXT,
    origin TEXT NOT NULL DEFAULT '{}', report TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL, finished REAL,
    PRIMARY KEY (dataset, version));

-- state: queued, running, paused, failed, cancelled, done.  why: JSON error record.
CREATE TABLE runs (
    id TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, kit TEXT, document TEXT NOT NULL,
    document_hash TEXT NOT NULL, resolved TEXT NOT NULL, state TEXT NOT NULL, why TEXT, seed INTEGER NOT NULL,
    machine TEXT NOT NULL DEFAULT '{}', packages TEXT NOT NULL DEFAULT '{}', priority INTEGER NOT NULL DEFAULT 0,
    cancel TEXT, created REAL NOT NULL, started REAL, ended REAL);

-- cancel (in runs): NULL, save, discard, pause.
-- steps.fingerprint: what the node said of its outside sources; stopping: when the node saw a request to stop.
CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, id TEXT NOT NULL, position INTEGER NOT NULL,
    node TEXT NOT NULL, title TEXT NOT NULL, needs TEXT NOT NULL, params TEXT NOT NULL, bindings TEXT NOT NULL,
    state TEXT NOT NULL, why TEXT, cached INTEGER NOT NULL DEFAULT 0, hash TEXT, outputs TEXT, attempt INTEGER NOT NULL DEFAULT 0,
    pid INTEGER, pid_started REAL, heartbeat REAL, flagged TEXT, progress REAL NOT NULL DEFAULT 0, message TEXT,
    eta REAL, started REAL, ended REAL, fingerprint TEXT, stopping REAL, PRIMARY KEY (run, id));

CREATE TABLE step_cache (hash TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, outputs TEXT NOT NULL, created REAL NOT NULL);

-- One figure of a series.  x: training step or NULL.  run '' holds the machine's own series (system.*).
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL, x REAL,
    value REAL NOT NULL, unit TEXT NOT NULL DEFAULT '');
CREATE INDEX metrics_series ON metrics (run, name, id);

CREATE TABLE events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, run TEXT, step TEXT, level TEXT NOT NULL, kind TEXT NOT NULL,
    message TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}');
CREATE INDEX events_run ON events (run, id);

CREATE TABLE models (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, created REAL NOT NULL, live TEXT, previous TEXT);

-- A version of a model.  id is "<model>@<version>".  state: registered, released, retired, refused.
-- lineage: JSON {dataset, dataset_version, document_hash, run, code, base, seed, packages}.
-- files: JSON list of {quantization, path, size, sha256, proof}.  proof: JSON of the export proof.
CREATE TABLE model_versions (
    id TEXT PRIMARY KEY, model TEXT NOT NULL REFERENCES models(id) ON DELETE CASCADE, version INTEGER NOT NULL,
    state TEXT NOT NULL, format TEXT NOT NULL, path TEXT NOT NULL, base TEXT, parameters INTEGER, size INTEGER,
    context INTEGER, chat_template_hash TEXT, files TEXT NOT NULL DEFAULT '[]', proof TEXT NOT NULL DEFAULT '{}',
    lineage TEXT NOT NULL DEFAULT '{}', run TEXT, content_hash TEXT, note TEXT, created REAL NOT NULL,
    UNIQUE (model, version));

-- What the endpoint serves.  alias: the name clients put in "model".  state: starting, ready, idle, failed, stopped.
CREATE TABLE deployments (
    alias TEXT PRIMARY KEY, model_version TEXT NOT NULL, engine TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL,
    why TEXT, options TEXT NOT NULL DEFAULT '{}', gate TEXT NOT NULL DEFAULT '{}', pid INTEGER, restarts INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL);

-- verdict: better, worse, no_difference.  report: the whole JSON report.
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, model_version TEXT, metric TEXT NOT NULL, items INTEGER NOT NULL,
    base REAL NOT NULL, tuned REAL NOT NULL, difference REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
    verdict TEXT NOT NULL, report TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, evaluation INTEGER NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE, position INTEGER NOT NULL,
    prompt TEXT NOT NULL, expected TEXT NOT NULL, base TEXT NOT NULL, tuned TEXT NOT NULL, base_score REAL NOT NULL,
    tuned_score REAL NOT NULL, checks TEXT NOT NULL DEFAULT '{}');

CREATE TABLE requests (
    id TEXT PRIMARY KEY, at REAL NOT NULL, key_id TEXT, route TEXT NOT NULL, model TEXT NOT NULL, status INTEGER NOT NULL,
    error TEXT, stream INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, queued_seconds REAL NOT NULL DEFAULT 0, first_token_seconds REAL,
    seconds REAL NOT NULL);
CREATE INDEX requests_at ON requests (at);

-- Metering.  scope: run, step, request.  energy_source: nvml, rapl, estimate.  money in ``currency``.
CREATE TABLE usage (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, scope TEXT NOT NULL, run TEXT, step TEXT, request TEXT, model TEXT,
    tokens_in INTEGER NOT NULL DEFAULT 0, tokens_out INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL,
    energy_wh REAL NOT NULL, energy_source TEXT NOT NULL, energy_cost REAL NOT NULL, wear_cost REAL NOT NULL,
    currency TEXT NOT NULL);
CREATE INDEX usage_at ON usage (at);
CREATE INDEX usage_run ON usage (run);

CREATE TABLE api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, created REAL NOT NULL, revoked REAL);
"""


def _split(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.strip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip()]


def _count_revisions(db: Any, tables: tuple[str, ...]) -> None:
    """Give each table triggers that bump its row in ``revisions``."""
    for table in tables:
        db.execute("INSERT INTO revisions (name, revision) VALUES (?, 0)", (table,))
        for verb in ("INSERT", "UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER revision_{table}_{verb.lower()} AFTER {verb} ON {table} "
                f"BEGIN UPDATE revisions SET revision = revision + 1 WHERE name = '{table}'; END"
            )


@migrations()
def m001_first(db: Any) -> None:
    """All tables of the first version."""
    for statement in _split(_FIRST):
        db.execute(statement.rstrip(";"))
    _count_revisions(db, WATCHED)
    db.execute("PRAGMA user_version = 1")


@migrations()
def m002_kit_of_a_run(db: Any) -> None:
    """Which version of its kit a run used, and the hash of that kit's content (app.config.kit_folders.identity)."""
    db.execute("ALTER TABLE runs ADD COLUMN kit_version INTEGER")
    db.execute("ALTER TABLE runs ADD COLUMN kit_hash TEXT")
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_tags_and_notes(db: Any) -> None:
    """What a user writes on a run: tags (JSON list) and a note."""
    db.execute("ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'")
    db.execute("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''")
    db.execute("PRAGMA user_version = 3")


@migrations()
def m004_time_a_run_lay_still(db: Any) -> None:
    """Seconds between a run's stops and their resumes, which are no part of the time it took."""
    db.execute("ALTER TABLE runs ADD COLUMN idle REAL NOT NULL DEFAULT 0")
    db.execute("PRAGMA user_version = 4")


def check_schema(found: int, profile: Profile) -> None:
    """Raises StoreError store.newer_schema for a number that this version does not know."""
    if found > SCHEMA:
        raise StoreError(
            "store.newer_schema", "The database was written by a newer NeuroWeaver.",
            where=Place.of(profile.catalogue),
            why=f"It has schema {found}; this version knows up to {SCHEMA}.",
            remedy="Start the newer version, or point NEUROWEAVER_HOME at another folder. Nothing was changed.",
        )


def migrate_catalogue(store: Store) -> None:
    """Bring the catalogue to this version's schema; a file that holds data is backed up first.

    All steps are one transaction: a killed migration leaves the old or the new schema, never a mixture.
    Raises StoreError store.newer_schema.
    """
    found = _schema(store)
    check_schema(found, store.profile)
    if found == SCHEMA:
        return
    if found > 0:
        from app.store.backup import backup

        backup(store)
    with store.write() as db:
        if _schema(store) < SCHEMA:  # another process may have been first
            migrations.apply(db)


def _schema(store: Store) -> int:
    return int(store.db.execute("PRAGMA user_version").fetchone()[0])
