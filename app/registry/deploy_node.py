"""Serve a model behind the endpoint, if it passes its gate."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report
from app.config.node import Node, Params, StepContext, node
from app.errors import RegistryError

READY_SECONDS = 120.0


class Gate(Params):
    """What a model must show before it is served."""

    min_gain: float = Field(0.0, description="Least gain over the base in the evaluation (share, 0.1 is ten points)")
    require_verdict: bool = Field(True, description="The verdict must be “better”: the interval of the gain excludes zero")
    require_proof: bool = Field(True, description="The export proof must have passed")


class DeployParams(Params):
    """Parameters of model.deploy."""

    alias: str = Field("", description="Name that clients put in “model”; empty: the model's name")
    gate: Gate = Field(Gate(min_gain=0.0, require_verdict=True, require_proof=True), description="What it must show before")
    serve_base: bool = Field(True, description="Serve the base model too, so that both can be compared")


@node("model.deploy", version=1, title="Serve")
class Deploy(Node[DeployParams]):
    """Checks the gate, makes the version live, and waits until the engine answers if a service runs."""

    inputs = {"model": Model, "evaluation": Report, "proof": Report}
    optional = frozenset({"evaluation", "proof"})
    outputs = {"deployment": Report}
    cacheable = False

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Refused models raise RegistryError with the check that failed."""
        import orjson

        from app.registry import versions

        model: Model = ctx.input("model")
        evaluation = ctx.input("evaluation").summary if ctx.has_input("evaluation") else None
        proof = ctx.input("proof").summary if ctx.has_input("proof") else None
        check_gate(self.params.gate, evaluation, proof)
        version = model.version or versions.register(
            ctx.store,
            versions.NewVersion(
                name=model.name,
                format=model.format,
                path=model.path,
                content_hash=model.content_hash,
                base=model.base or "",
                run=ctx.run,
                proof=proof,
            ),
        )
        alias = versions.promote(ctx.store, version, alias=self.params.alias or None)
        base = versions.serve_base(ctx.store, model.base) if self.params.serve_base and model.base else None
        state = self._wait(ctx, alias)
        summary = {"alias": alias, "version": version, "base_alias": base, "state": state}
        content = orjson.dumps(summary, option=orjson.OPT_SORT_KEYS)
        path = ctx.outputs_dir / "deployment.json"
        path.write_bytes(content)
        return {"deployment": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)}

    @staticmethod
    def _wait(ctx: StepContext, alias: str) -> str:
        from app.config.presence import find_service

        presence = find_service(ctx.store.profile)
        if presence is None or presence.base_url is None:
            ctx.event(f"{alias} is served when the endpoint runs: main.py service", kind="deploy")
            return "waits for the endpoint"
        limit = time.monotonic() + READY_SECONDS
        while time.monotonic() < limit:
            row = ctx.store.row("SELECT state, why FROM deployments WHERE alias = ?", (alias,)) or {
                "state": "stopped",
                "why": None,
            }
            if row["state"] == "ready":
                ctx.event(f"{alias} answers at {presence.base_url}", level="good", kind="deploy")
                return "ready"
            if row["state"] == "failed":
                raise _not_served(alias, row["why"])
            ctx.progress(0.5, "Waiting for the engine")
            time.sleep(0.2)
        raise RegistryError(
            "deploy.silent",
            f"{alias} did not become ready.",
            why=f"The engine took over {READY_SECONDS:.0f} s.",
            remedy="Look at the Endpoint page, or serve it again.",
        )


def _not_served(alias: str, why: str | None) -> RegistryError:
    import json

    reason = why or ""
    if reason.startswith("{"):
        record = json.loads(reason)
        reason = f"{record.get('what', '')} {record.get('why', '')}"
    return RegistryError("deploy.failed", f"{alias} could not be served.", why=reason.strip(), remedy="Export it again.")


def check_gate(gate: Gate, evaluation: dict[str, Any] | None, proof: dict[str, Any] | None) -> None:
    """Raise RegistryError where a check fails; a check without its evidence fails too, except for a missing evaluation."""
    if gate.require_proof and not (proof or {}).get("passed"):
        raise RegistryError(
            "gate.proof",
            "The model is not released.",
            why="Its export proof did not pass." if proof else "No export proof is bound to this step.",
            remedy="Export with a milder quantisation, q8_0 for example.",
        )
    if evaluation is None:
        return
    gain = float(evaluation.get("gain", evaluation.get("difference", 0.0)))
    low, high = evaluation.get("interval", (gain, gain))
    measured = f"It gained {100 * gain:+.1f} points ({100 * low:.1f} to {100 * high:.1f})."
    if gain < gate.min_gain:
        raise RegistryError(
            "gate.gain",
            "The model is not released: it gained too little.",
            why=measured,
            remedy=f"At least {100 * gate.min_gain:+.1f} points are asked. Train longer, or on more rows.",
        )
    if gate.require_verdict and evaluation.get("verdict") != "better":
        raise RegistryError(
            "gate.verdict",
            "The model is not released: it is not shown to be better.",
            why=measured,
            remedy="More test rows narrow the interval; or set gate.require_verdict: false.",
        )
