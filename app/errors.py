"""Every failure NeuroWeaver reports: what happened, where, why, and what to do next.

    NeuroWeaverError
    ├── ConfigError        workflow, kit or settings document (bad input)
    ├── DatasetError       a file or a dataset (bad input)
    ├── UsageError         a command line or an API call (bad input)
    ├── ModelFileError     a model file or folder that is damaged or dangerous (bad input)
    ├── StoreError         the database: damaged, wrong key, newer schema, disk full
    ├── WorkflowError      planning, scheduling or a worker process
    ├── TrainingError      fine-tuning
    ├── EvaluationError    measuring a model
    ├── RegistryError      model versions, export, deployment
    ├── ServingError       an engine or the endpoint
    └── EnvironmentFault   something this machine lacks (compiler, driver, disk space)

The window, ``--json`` and HTTP all print the same fields, made by :meth:`NeuroWeaverError.as_json`.
Cancelling is not an error: see :class:`Cancelled`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


def as_installed(words: str) -> str:
    """Instructions in terms of what the user has: a clone has main.py and packaging/setup.sh, a package one program."""
    if not getattr(sys, "frozen", False):
        return words
    return words.replace("main.py", "neuroweaver").replace("packaging/setup.sh", "the installer")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a failure is: a file, and in it a line and column (both count from 1), or a field."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None

    @classmethod
    def of(
        cls, file: str | Path | None = None, line: int | None = None, column: int | None = None, field: str | None = None
    ) -> Place:
        """Make a place from a path as it comes."""
        return cls(None if file is None else str(file), line, column, field)

    def __str__(self) -> str:
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{spot} ({self.field})" if spot and self.field else spot or self.field or ""


class NeuroWeaverError(Exception):
    """Base of all failures that reach a user.  ``bad_input`` decides the exit code: 2 if so, else 1."""

    bad_input = False

    def __init__(
        self, code: str, what: str, *, where: Place | None = None, why: str = "", remedy: str = "",
        others: tuple[NeuroWeaverError, ...] = (),
    ) -> None:
        if not what.strip():
            raise ValueError("An error needs words.")
        super().__init__(what)
        self.code = code
        self.what = what
        self.where = where or Place()
        self.why = why
        self.remedy = as_installed(remedy)
        self.others = others

    @property
    def exit_code(self) -> int:
        """Process exit code for the command line."""
        return 2 if self.bad_input else 1

    @property
    def message(self) -> str:
        """What happened and why, in one line."""
        return f"{self.what} {self.why}".strip()

    def __str__(self) -> str:
        place = str(self.where)
        return " ".join(part for part in (f"{place}:" if place else "", self.message, self.remedy) if part)

    def as_json(self) -> dict[str, Any]:
        """The house plan's error object; absent keys are left out."""
        place = asdict(self.where)
        fields = {"type": self.code, "message": self.message, **place, "hint": self.remedy}
        return {key: value for key, value in fields.items() if value not in (None, "")}

    def as_record(self) -> dict[str, Any]:
        """All fields apart, for the store; :func:`from_record` is the inverse."""
        return {"class": type(self).__name__, "code": self.code, "what": self.what, "why": self.why,
                "remedy": self.remedy, "where": asdict(self.where)}


class ConfigError(NeuroWeaverError):
    """A workflow, kit or settings document is wrong.  ``others`` holds the further faults found in it."""

    bad_input = True


class DatasetError(NeuroWeaverError):
    """A data file or a dataset cannot be used as asked."""

    bad_input = True


class UsageError(NeuroWeaverError):
    """A command or a call names something that does not exist or does not fit."""

    bad_input = True


class ModelFileError(NeuroWeaverError):
    """A model file or folder is damaged, dangerous or of a kind that is not supported."""

    bad_input = True


class StoreError(NeuroWeaverError):
    """The database cannot be opened, read or written."""


class WorkflowError(NeuroWeaverError):
    """A run could not be planned or carried out."""


class TrainingError(NeuroWeaverError):
    """Fine-tuning stopped without a usable result."""


class EvaluationError(NeuroWeaverError):
    """A model could not be measured."""


class RegistryError(NeuroWeaverError):
    """A model version could not be exported, registered or released."""


class ServingError(NeuroWeaverError):
    """An engine or the endpoint does not answer."""


class EnvironmentFault(NeuroWeaverError):
    """This machine lacks something the work needs."""


class Cancelled(Exception):
    """The user asked to stop.  ``save`` tells whether what was reached is to be kept."""

    def __init__(self, save: bool = False) -> None:
        super().__init__("stopped on request")
        self.save = save


_CLASSES = {
    kind.__name__: kind
    for kind in (ConfigError, DatasetError, UsageError, ModelFileError, StoreError, WorkflowError, TrainingError,
                 EvaluationError, RegistryError, ServingError, EnvironmentFault, NeuroWeaverError)
}


def from_record(record: dict[str, Any]) -> NeuroWeaverError:
    """Rebuild an error that :meth:`NeuroWeaverError.as_record` wrote (in another process, perhaps)."""
    kind = _CLASSES.get(record.get("class", ""), NeuroWeaverError)
    return kind(record["code"], record["what"], where=Place(**record.get("where", {})),
                why=record.get("why", ""), remedy=record.get("remedy", ""))
