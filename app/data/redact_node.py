"""Exchange private data for stand-ins before anything is trained; every finding is kept for review, every change can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import Node, Params, StepContext, node
from app.data.redaction.entities import DEFAULT, ENTITIES, LANGUAGES

if TYPE_CHECKING:
    from app.store import Store


class RedactParams(Params):
    """Parameters of data.redact."""

    entities: tuple[str, ...] = Field(DEFAULT, description="What to look for (PERSON, EMAIL, IBAN, ...)")
    languages: tuple[str, ...] = Field(
        LANGUAGES, description="Languages whose identifiers and phone numbers are known: en, de, es, sv"
    )
    threshold: float = Field(0.5, gt=0, le=1, description="Certainty from which a finding is redacted")
    review_below: float = Field(
        0.75, ge=0, le=1, description="Findings less certain than this wait for review; until then they are redacted"
    )
    mode: Literal["placeholder", "surrogate", "label"] = Field(
        "placeholder", description="What stands in: [PERSON_1]; an invented name or number of the same form; or [PERSON]"
    )
    names_model: bool = Field(True, description="Ask the names model too; slower, and without it many names are missed")
    columns: tuple[str, ...] = Field(
        ("*",), description="Other columns that are looked at, because they come out on export; *: all"
    )
    processes: int = Field(0, ge=0, le=16, description="Processes that look at rows; 0: one for each core that is free, at most four")

    @field_validator("entities")
    @classmethod
    def _known_entities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known(value, tuple(ENTITIES), "entity")

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known(value, LANGUAGES, "language")


def _known(value: tuple[str, ...], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    strange = [one for one in value if one not in known]
    if strange:
        raise ValueError(f"There is no {what} {strange[0]!r}; known are {', '.join(known)}.")
    return value


@node("data.redact", version=4, title="Redact private data")
class Redact(Node[RedactParams]):
    """Makes a new version in which the same person has the same stand-in everywhere."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def heeds(self, store: Store, inputs: Mapping[str, Artifact]) -> str:
        """The dataset's "always" rules."""
        from app.data.redaction.rules import load, mark
        from app.store.datasets import open_dataset

        rows = inputs["rows"]
        assert isinstance(rows, Rows)
        with open_dataset(store, rows.dataset) as db:
            return mark(load(db.conn))

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Look at every row of every split; held-out rows are redacted too."""
        from app.data.derive import Derivation
        from app.data.redaction.detect import Settings
        from app.data.redaction.redact import Plan, redact

        params = self.params
        plan = Plan(
            Settings(params.entities, params.languages, params.threshold, params.names_model),
            params.mode,
            params.review_below,
            params.columns,
            params.processes,
        )
        ctx.progress(0.0, "Loading the names model" if params.names_model else "Looking for private data")
        rows: Rows = ctx.input("rows")
        named = {**params.model_dump(), "rules": self.heeds(ctx.store, {"rows": rows})}
        with Derivation(ctx, rows, node="data.redact", note="Redacted", params=named) as derivation:
            report = redact(derivation, plan, ctx.check_cancelled, ctx.check_waiting)
            made = derivation.finish({**report, "settings": params.model_dump(mode="json")})
        ctx.metric("findings_redacted", report["redacted"], unit="findings")
        ctx.event(
            f"{report['redacted']:,} findings redacted, {report['open']:,} of them wait for review",
            level="good",
            kind="redact",
            data={"detail": report["statement"]},
        )
        return made
