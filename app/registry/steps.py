"""What the nodes model.register and model.deploy do."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from app.config.artifacts import Model, Report
from app.config.node import StepContext
from app.config.presence import find_service
from app.errors import NeuroWeaverError, RegistryError
from app.registry import api
from app.registry.deploy_node import DeployParams
from app.registry.deployments import ENGINES, check_proof
from app.registry.gate import check_gain
from app.registry.register_node import RegisterParams


def _summary(ctx: StepContext, port: str) -> dict[str, Any] | None:
    return dict(ctx.input(port).summary) if ctx.has_input(port) else None


def register_step(ctx: StepContext, params: RegisterParams) -> Model:
    """The model with its version."""
    ctx.progress(0.0, "Registering")
    made: Model = ctx.input("model")
    version = _register(ctx, made, params.name, params.note)
    return made.model_copy(update={"path": version.path, "version": version.id, "name": version.model})


def _register(ctx: StepContext, made: Model, name: str = "", note: str = "") -> api.Version:
    before = ctx.store.row("SELECT max(created) AS newest FROM model_versions")
    version = api.register(ctx.store, made, name=name or None, proof=_summary(ctx, "proof"), run=ctx.run, note=note,
                           tick=ctx.check_cancelled)
    known = version.created <= float((before or {}).get("newest") or 0.0)
    ctx.event(f"This content is {version.id} already." if known else f"Registered as {version.id}.", kind="registered")
    return version


def deploy_step(ctx: StepContext, params: DeployParams) -> Report:
    """Register if need be, check, release, wait for the engine."""
    ctx.progress(0.0, "Checking the gate")
    made: Model = ctx.input("model")
    version = api.find_version(ctx.store, made.version) if made.version else _register(ctx, made)
    try:
        check_gain(params.gate, _summary(ctx, "evaluation"))
        check_proof(version, params.gate.require_proof)
    except RegistryError:
        if not version.live:
            ctx.store.db.execute("UPDATE model_versions SET state = 'refused' WHERE id = ?", (version.id,))
        raise
    if not params.gate.require_proof and version.proof.get("passed") is not True:
        ctx.event("Deployed without a passed export proof, because the gate says so.", level="warning")
    alias, engine = params.alias or version.model, _engine(params, version.format)
    api.release(ctx.store, version, alias=alias, engine=engine, gate=params.gate.model_dump(),
                options={"slots": params.slots, "context": params.context}, require_proof=params.gate.require_proof)
    base = _base_beside(ctx, made) if params.base_too else None
    state = _wait(ctx, alias, params.wait_seconds)
    return _report(ctx, {"alias": alias, "model": version.id, "engine": engine, "path": version.path, "state": state,
                         "base_alias": base, "gate": params.gate.model_dump()})


def _engine(params: DeployParams, form: str) -> str:
    return ENGINES[form] if params.engine == "auto" else params.engine


def _base_beside(ctx: StepContext, made: Model) -> str | None:
    """Serve the base too; a base that cannot be served costs the comparison, not the deployment."""
    if not made.base:
        return None
    ctx.progress(0.2, "Preparing the base model")
    try:
        return api.ensure_base_deployment(ctx.store, made.base, tick=ctx.check_cancelled).alias
    except NeuroWeaverError as problem:
        ctx.event(f"The base model is not served beside it. {problem.message}", level="warning")
        return None


def _wait(ctx: StepContext, alias: str, seconds: float) -> str:
    """Wait for the engine if a service runs; say what will happen if none does."""
    if find_service(ctx.store.profile) is None:
        ctx.event(f"{alias} will be served when the service starts.", kind="deployed")
        return "waiting for the service"
    ctx.progress(0.6, "Waiting for the engine")
    found = api.wait_ready(ctx.store, alias, seconds, tick=ctx.check_cancelled)
    if found.state == "starting":
        ctx.event(f"{alias} is still loading after {seconds:g} s; it will be served when it is ready.", level="warning")
    else:
        ctx.event(f"{alias} is served.", level="good", kind="deployed")
    return found.state


def _report(ctx: StepContext, summary: dict[str, Any]) -> Report:
    content = json.dumps(summary, indent=1).encode()
    path = ctx.outputs_dir / "deployment.json"
    path.write_bytes(content)
    return Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)
