"""A dataset's "always" rules: redact this text, keep that one, leave an entity alone."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.data.redaction.detect import Finding
from app.data.redaction.normalise import folded

Decision = Literal["redact", "keep"]
ANY = "*"
SURE = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """entity: a key, or "*" for any.  folded: the text as :func:`fold` has it; "" means every text of that entity."""

    entity: str
    folded: str
    decision: Decision


def fold(text: str) -> str:
    """A text for comparing: without disguise, case and double blanks."""
    return " ".join(folded(text).text.casefold().split())


def mark(rules: Iterable[Rule]) -> str:
    """Tells one list of rules from another; "" for none."""
    listed = [(rule.entity, rule.folded, rule.decision) for rule in rules]
    return hashlib.sha256(repr(listed).encode("utf-8", "replace")).hexdigest() if listed else ""


def load(conn: Any) -> list[Rule]:
    """The rules of a dataset, the oldest first: of two that contradict each other the newer one counts."""
    return [Rule(*row) for row in conn.execute("SELECT entity, folded, decision FROM redaction_rules ORDER BY created, id")]


def store(conn: Any, rule: Rule) -> None:
    """Add a rule; one for the same text and entity is replaced."""
    forget(conn, rule)
    conn.execute(
        "INSERT INTO redaction_rules (entity, folded, decision, created) VALUES (?, ?, ?, ?)",
        (rule.entity, rule.folded, rule.decision, time.time()),
    )


def forget(conn: Any, rule: Rule) -> None:
    """Take a rule out."""
    conn.execute("DELETE FROM redaction_rules WHERE entity = ? AND folded = ?", (rule.entity, rule.folded))


class Rules:
    """Rules ready for use."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_text = {(rule.entity, rule.folded): rule.decision for rule in rules}
        self._terms = {text: entity for (entity, text), decision in self._by_text.items() if decision == "redact" and text}
        terms = sorted(self._terms, key=len, reverse=True)
        forms = "|".join(r"\s+".join(map(re.escape, term.split())) for term in terms)
        self._pattern = re.compile(rf"(?<!\w)(?:{forms})(?!\w)", re.IGNORECASE) if terms else None

    def decide(self, entity: str, text: str) -> Decision | None:
        """What the rules say of a finding; a rule for its text counts before one for its entity."""
        if not self._by_text:
            return None
        own = fold(text)
        return next((self._by_text[place] for place in ((entity, own), (ANY, own), (entity, "")) if place in self._by_text), None)

    def also(self, text: str, found: list[Finding]) -> list[Finding]:
        """The findings together with the texts that are always to be redacted, which take in findings that are but a part of them."""
        named = list(self._named(text))
        whole = [one for one in found if not any(_part(one, other) for other in named)]
        more = [one for one in named if not any(one.start < other.end and other.start < one.end for other in whole)]
        return sorted([*whole, *more], key=lambda one: one.start)

    def _named(self, text: str) -> Iterator[Finding]:
        if self._pattern is None:
            return
        view = folded(text)
        for match in self._pattern.finditer(view.text):
            entity = self._terms.get(" ".join(match.group().casefold().split()), ANY)
            yield Finding(*view.span(*match.span()), "PRIVATE" if entity == ANY else entity, SURE, "rule")


def _part(one: Finding, other: Finding) -> bool:
    """Whether a finding lies in a longer one."""
    return other.start <= one.start and one.end <= other.end and one.end - one.start < other.end - other.start
