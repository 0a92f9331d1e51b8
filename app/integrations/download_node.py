"""Fetch a base model from the Hugging Face Hub, while offline mode is off."""

from __future__ import annotations

import hashlib

from pydantic import Field

from app.config.artifacts import Artifact, Model
from app.config.node import Node, Params, StepContext, node


class DownloadParams(Params):
    """Which model."""

    repo: str = Field(min_length=1, max_length=200, description="Name on the Hub: owner/name")
    revision: str = Field("main", min_length=1, max_length=100, description="Branch, tag or commit")


@node("hub.download", version=1, title="Fetch a model")
class Download(Node[DownloadParams]):
    """Safetensors, configuration and tokenizer alone, each checked against its hash; can be paused and goes on where it stopped."""

    outputs = {"model": Model}
    network = "loopback"  # what offline mode leaves; without offline mode nothing is refused

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """List, fetch, check."""
        from app.config.model_files import check_model_folder
        from app.integrations import hub

        hub.check_allowed(ctx.store)
        ctx.progress(0.0, "Asking the Hub")
        wanted = hub.listing(self.params.repo, self.params.revision)
        ctx.event(f"{wanted.repo} at {wanted.commit[:12]}: {len(wanted.files)} files, {wanted.size / 1e6:,.0f} MB", kind="hub")
        folder = hub.fetch(wanted, ctx.outputs_dir / wanted.commit, lambda part, words: ctx.progress(0.97 * part, words))
        checked = check_model_folder(folder)
        names = "\n".join(f"{file.name} {file.sha256 or file.blob}" for file in sorted(wanted.files, key=lambda one: one.name))
        return {"model": Model(
            content_hash=hashlib.sha256(names.encode()).hexdigest(), path=str(folder), format="hf",
            name=wanted.repo.rpartition("/")[2].lower(), details={"parameters": checked.parameters, "repo": wanted.repo,
                                                                    "revision": wanted.commit})}
