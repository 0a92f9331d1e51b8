"""The functions behind the platform routes, gathered for the gateway, which may not import workflow itself."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.errors import NeuroWeaverError
from app.store import Store


def create_workflow(store: Store, text: str, name: str) -> str:
    """Check and queue a document; returns the run's id."""
    from app.workflow.runs import submit_text

    return submit_text(store, text, name)


def run_result(store: Store, run: str) -> dict[str, Any]:
    """State and results of a run."""
    from app.workflow.runs import result

    return result(store, run)


def kits(store: Store) -> list[dict[str, Any]]:
    """All kits as their kit.yaml describes them."""
    from app.config.views import kits as cards

    return [{key: value for key, value in asdict(card).items() if key != "source"} for card in cards(store)]


def import_file(store: Store, path: Path, name: str | None, split_field: str | None = None,
                mapping: dict[str, str] | None = None) -> dict[str, Any]:
    """Import a file as a dataset."""
    from app.data.api import import_file as bring

    done = bring(store, path, mapping=mapping, name=name, split_field=split_field)
    return {
        "dataset": done.dataset,
        "version": done.version,
        "rows": done.rows,
        "rejected": done.rejected,
        "rejects_file": done.rejects_file,
        "warnings": done.warnings,
    }


def deploy(store: Store, model: str, alias: str | None) -> str:
    """Release a version (its id, or a model's name), serve it, and its base beside it; returns its alias.

    A model that came with the program is served as what it is, a base; nothing is released then.  A base that cannot be served
    costs the comparison, not the release.
    """
    from app.config.models import packaged
    from app.registry import api

    if model in packaged() and alias is None:
        return api.ensure_base_deployment(store, str(packaged()[model])).alias
    chosen = api.find_version(store, model)
    api.release(store, chosen, alias=alias)
    if chosen.base:
        with contextlib.suppress(NeuroWeaverError):
            api.ensure_base_deployment(store, chosen.base)
    return alias or str(chosen.model)


def metrics(store: Store) -> dict[str, Any]:
    """The newest reading of each of the machine's series, work by state, and today's requests and money."""
    from app.costguard.views import costs

    newest = store.rows("SELECT name, value, unit, max(at) AS at FROM metrics WHERE run = '' GROUP BY name")
    runs = {row["state"]: row["n"] for row in store.rows("SELECT state, count(*) AS n FROM runs GROUP BY state")}
    requests = store.row("SELECT count(*) AS n, coalesce(sum(status >= 400), 0) AS refused FROM requests") or {}
    spent = costs(store)
    return {
        "machine": {row["name"]: {"value": row["value"], "unit": row["unit"], "at": row["at"]} for row in newest},
        "runs": runs,
        "requests": {"all": requests.get("n", 0), "refused": requests.get("refused", 0)},
        "cost": {"currency": spent.currency, "today": spent.today.total, "month": spent.month.total},
    }
