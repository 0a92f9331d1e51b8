"""The contract every node follows, and the decorator that registers it.

A node is one short file in its domain room: a parameter model, typed inputs and outputs, ``run(ctx)``.
Canvas form, YAML schema, command-line help and docs are made from it.  Heavy packages (torch, transformers,
pyarrow, ...) are imported inside ``run`` only, because the window imports every node file.
This module lies low so that domain rooms never import ``workflow``; finding nodes is workflow/registry.py's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.config.artifacts import Artifact
from app.config.offline import Need

if TYPE_CHECKING:
    from app.store import Store


class Params(BaseModel):
    """Base of all parameter models: refuses unknown keys, so that a misspelt one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


DocumentPath = Annotated[Path, Field(json_schema_extra={"document_path": True})]
"""Type of a parameter that names a file or folder: relative to the document that set it, absolute when the node runs.

``path: DocumentPath = Field(description=...)``; also inside nested models, lists and ``DocumentPath | None``.  The mark is the
``json_schema_extra``: a field that states one of its own must repeat it.
"""

SHAREABLE: dict[str, Any] = {"shareable": True}
"""Mark of a text parameter that may leave this computer in a shared kit: it names a column, a field or a language, and never
holds data, a path or a name that the user gave (``Field(json_schema_extra=SHAREABLE)``; see shareable.py)."""

P = TypeVar("P", bound=Params)


class StepContext(Protocol):
    """What a node may know and say while it runs.  The step worker supplies it; tests supply a small one."""

    run: str
    """Id of the run."""
    step: str
    """Id of the step in its document."""
    seed: int
    base_model: str
    """The document's ``base_model``: a name the registry knows, or a path."""
    workdir: Path
    """A folder of this step alone; it survives a crash, so checkpoints go here."""
    outputs_dir: Path
    """Where final artifacts are written."""
    store: Store

    def input(self, name: str) -> Any:
        """The artifact on an input port; KeyError where an optional port is unbound."""

    def has_input(self, name: str) -> bool:
        """Whether an optional port is bound."""

    def progress(self, fraction: float, message: str = "") -> None:
        """Report 0..1.  Cheap: may be called per row.  Also the heartbeat.  Raises Cancelled if asked to stop."""

    def check_cancelled(self) -> None:
        """Raise :class:`app.errors.Cancelled` if the user asked to stop."""

    def check_waiting(self) -> None:
        """The same while others work (a library, a child): no sign of life, so that one that hangs is told."""

    def cancel_requested(self) -> str | None:
        """"save", "discard", "pause" or None, for nodes that finish their state before they stop."""

    def metric(self, name: str, value: float, *, unit: str = "", x: float | None = None) -> None:
        """Record one figure of a series (written in batches of at most 250 ms).  x: for example the step number."""

    def event(self, message: str, *, level: str = "info", kind: str = "note", data: Mapping[str, Any] | None = None) -> None:
        """Say something a user should read.  level: info, good, warning, error."""


class Node(Generic[P]):
    """Base of all nodes.  Subclasses state ``inputs`` and ``outputs`` and implement :meth:`run`."""

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {}
    optional: ClassVar[frozenset[str]] = frozenset()
    """Names of inputs that may stay unbound."""
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {}
    accelerator: ClassVar[bool] = False
    """Takes the one accelerator slot (training, evaluation); the scheduler runs such steps one at a time."""
    network: ClassVar[Need] = "none"
    """What a step keeps of the network in offline mode: "loopback" for one that calls a program on this computer over HTTP."""
    cacheable: ClassVar[bool] = True
    """False for steps with an effect outside the run (deploy)."""

    name: ClassVar[str] = ""
    version: ClassVar[int] = 0
    title: ClassVar[str] = ""
    params_model: ClassVar[type[Params]] = Params

    def __init__(self, params: P) -> None:
        self.params: P = params

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Do the work and return one artifact for each output port."""
        raise TypeError(f"Node {self.name} does not implement run().")

    def fingerprint(self) -> str:
        """Extra content the step cache must see, for example the hash of a file a parameter names."""
        return ""

    def heeds(self, store: Store, inputs: Mapping[str, Artifact]) -> str:
        """What else in the store decides the result (a dataset's "always" rules, say), as a mark of it: the step cache sees it."""
        return ""

    def asks(self) -> str:
        """The name of the served model that the step asks, if its parameters name one: the step cache sees its version."""
        return ""


NodeClass = type[Node[Any]]
REGISTERED: dict[str, NodeClass] = {}


def node(name: str, *, version: int, title: str) -> Callable[[NodeClass], NodeClass]:
    """Register a node under ``name`` ("data.refine").  Raise its ``version`` when its results change."""

    def register(cls: NodeClass) -> NodeClass:
        known = REGISTERED.get(name)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise ValueError(f"Two nodes are called {name!r}: {known.__module__} and {cls.__module__}.")
        cls.name, cls.version, cls.title = name, version, title
        cls.params_model = _params_model(cls)
        REGISTERED[name] = cls
        return cls

    return register


def version_of(name: str) -> int:
    """The version of a node's rules; 0 where none of this name is registered.  Unfinished work names it, to be gone on with by no other."""
    known = REGISTERED.get(name)
    return known.version if known is not None else 0


def _params_model(cls: NodeClass) -> type[Params]:
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in getattr(base, "__args__", ()):
            if isinstance(argument, type) and issubclass(argument, Params):
                return argument
    return Params
