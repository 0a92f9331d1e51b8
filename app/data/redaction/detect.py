"""The detector: texts in, findings in the original out.  Bounded in time: long texts are looked at in pieces that overlap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.data.redaction import names
from app.data.redaction.checks import REGIONS
from app.data.redaction.contact import CONTACT, Phone
from app.data.redaction.entities import DEFAULT, LANGUAGES
from app.data.redaction.guards import guarded
from app.data.redaction.namemodel import Reader, model
from app.data.redaction.normalise import View, disguises, folded, joined
from app.data.redaction.numbers import EVERYWHERE, NATIONAL
from app.data.redaction.places import PLACES
from app.data.redaction.recogniser import LIKELY, Candidate, Finder

PIECE, OVERLAP = 4_000, 300
"""Characters looked at together, and how far two pieces overlap: no identifier or name is longer."""
FEWEST_DIGITS = 3
SURE = 0.8
"""Certainty from which the names model is not asked about a word too."""
_NAMES = frozenset({"PERSON", "LOCATION"})
_PLACED = frozenset({"ADDRESS", "LICENCE_PLATE", "SE_ORGNR", "BIC", "CRYPTO", "URL", "IP_ADDRESS", "MAC_ADDRESS"})
"""Identifiers before which not only people stand."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: a span of the original, what it is, how certain (0..1), and by which signs."""

    start: int
    end: int
    entity: str
    score: float
    detector: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What to look for.  threshold: the certainty from which a finding counts; model: whether the names model is asked."""

    entities: tuple[str, ...] = DEFAULT
    languages: tuple[str, ...] = LANGUAGES
    threshold: float = 0.5
    model: bool = True


@dataclass(slots=True)
class _Piece:
    text: int
    offset: int
    original: str
    view: View
    found: list[Candidate] = field(default_factory=list)
    sure: list[tuple[int, int]] = field(default_factory=list)
    """Spans of the view that need no second opinion."""


class Detector:
    """Finds private data in texts.  Made once a process: the names model takes about a second to load."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        wanted = frozenset(settings.entities)
        regions = tuple(region for language in settings.languages for region in REGIONS.get(language, ()))
        listed = (
            *CONTACT,
            Phone(regions),
            *EVERYWHERE,
            *(one for language in settings.languages for one in NATIONAL.get(language, ())),
            *PLACES,
        )
        self._finders: tuple[Finder, ...] = tuple(finder for finder in listed if finder.entity in wanted)
        self._persons = "PERSON" in wanted
        reads = settings.model and not wanted.isdisjoint(_NAMES)
        self._reader = Reader(places="LOCATION" in wanted) if reads else None

    def load(self) -> None:
        """Load the names model now, if it will be asked."""
        if self._reader is not None:
            model()

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Findings of each text, in order of their place, none overlapping another."""
        pieces = [piece for number, text in enumerate(texts) for piece in _pieces(number, text)]
        for piece in pieces:
            piece.found += self._by_form(piece)
        if self._reader is not None:
            read = self._reader.read([piece.view.text for piece in pieces], [piece.sure for piece in pieces])
            for piece, found in zip(pieces, read, strict=True):
                piece.found += [_mapped(piece.view, one) for one in found if one.entity == "LOCATION" or self._persons]
        gathered: list[list[Candidate]] = [[] for _ in texts]
        for piece in pieces:
            gathered[piece.text] += (
                one._replace(start=one.start + piece.offset, end=one.end + piece.offset) for one in piece.found
            )
        return [self._findings(text, found) for text, found in zip(texts, gathered, strict=True)]

    def find_row(self, fields: Mapping[str, str]) -> dict[str, list[Finding]]:
        """Findings in the fields of one row; see :meth:`find_rows`."""
        return self.find_rows([fields])[0]

    def find_rows(self, rows: Sequence[Mapping[str, str]]) -> list[dict[str, list[Finding]]]:
        """Findings of each field of each row; a name found in one field is then also found alone in the others."""
        flat = [text for row in rows for text in row.values()]
        found = iter(self.find(flat))
        return [self._shared({name: next(found) for name in row}, row) for row in rows]

    def _shared(self, found: dict[str, list[Finding]], fields: Mapping[str, str]) -> dict[str, list[Finding]]:
        if not self._persons:
            return found
        known = {
            fields[name][one.start : one.end]
            for name, listed in found.items()
            for one in listed
            if one.entity == "PERSON" and one.score >= 0.6
        }
        if not known:
            return found
        shared = dict(found)
        for name, text in fields.items():
            again = [Candidate(one.start, one.end, one.entity, one.score, one.detector) for one in found[name]]
            view = folded(text)
            more = [_mapped(view, one) for one in names.repeated(view.text, known)]
            taken = [one for one in more if not any(_hinders(other, one) for other in again)]
            if taken:
                shared[name] = self._findings(text, [*again, *taken], said=True)
        return shared

    # ---- one piece ---------------------------------------------------------------------------------------------------

    def _by_form(self, piece: _Piece) -> Iterator[Candidate]:
        for view in (piece.view, *joined(piece.original, piece.view)):
            found = list(self._candidates(view.text, names_too=view is piece.view))
            if view is piece.view:
                piece.sure = [(one.start, one.end) for one in found if one.score >= SURE and names.is_whole(view.text, one.start)]
            yield from (_mapped(view, one) for one in found)

    def _candidates(self, text: str, *, names_too: bool) -> Iterator[Candidate]:
        digits = sum(map(text.count, "0123456789"))
        found = [one for finder in self._finders if finder.gate.open(text, digits) for one in finder.find(text)]
        if names_too and self._persons:
            numbers = (one for one in found if one.score >= 0.8 and one.entity not in _PLACED)
            found += [*names.by_rules(text), *names.beside(text, numbers)]
        sure = (one for one in found if one.score >= self.settings.threshold)
        return (one for one in sure if one.score >= LIKELY or "context" in one.how or not guarded(text, one.start, one.end))

    # ---- one text ----------------------------------------------------------------------------------------------------

    def _findings(self, text: str, found: Iterable[Candidate], *, said: bool = False) -> list[Finding]:
        kept = _resolved([one for one in found if one.score >= self.settings.threshold], text)
        return [
            Finding(
                one.start,
                one.end,
                one.entity,
                round(one.score, 2),
                one.how if said and one.how != "same_row" else _detector(one, text),
            )
            for one in kept
        ]


def _hinders(other: Candidate, one: Candidate) -> bool:
    """Whether a finding stands where a repeated name would: another entity, or a name that covers it already."""
    if one.start >= other.end or other.start >= one.end:
        return False
    return other.entity != one.entity or (other.start <= one.start and one.end <= other.end)


def _detector(one: Candidate, text: str) -> str:
    """How it was found and hidden: "checksum,context,invisible"."""
    return ",".join([one.how, *(disguises(text[one.start : one.end]) if one.entity not in _NAMES else ())])


def _mapped(view: View, one: Candidate) -> Candidate:
    start, end = view.span(one.start, one.end)
    return one._replace(start=start, end=end)


def _pieces(number: int, text: str) -> Iterator[_Piece]:
    """The text in pieces that end at a blank where there is one."""
    start = 0
    while start < len(text):
        end = min(start + PIECE, len(text))
        if end < len(text):
            blank = max(text.rfind(" ", start + PIECE // 2, end), text.rfind("\n", start + PIECE // 2, end))
            end = blank if blank > 0 else end
        part = text[start:end]
        yield _Piece(number, start, part, folded(part))
        if end >= len(text):
            return
        again = text.rfind(" ", end - OVERLAP, end - OVERLAP // 2)
        start = again + 1 if again > 0 else end - OVERLAP


def _resolved(found: list[Candidate], text: str) -> list[Candidate]:
    """One finding for each place.  The more certain wins; of the same entity they become one, of another only digits stay."""
    kept: list[Candidate] = []
    for one in sorted(
        found, key=lambda one: (-(one.score + (0.02 if "checksum" in one.how else 0)), one.start - one.end, one.start)
    ):
        touched = [other for other in kept if one.start < other.end and other.start < one.end]
        if not touched:
            kept.append(one)
        elif len(touched) == 1 and touched[0].entity == one.entity:
            other = touched[0]
            whole = other._replace(start=min(one.start, other.start), end=max(one.end, other.end))
            if not any(whole.start < third.end and third.start < whole.end for third in kept if third is not other):
                kept[kept.index(other)] = whole
        elif one.entity not in _NAMES and one.entity != "ADDRESS":
            kept += _left(one, touched, text)
    return sorted(kept)


def _left(one: Candidate, taken: list[Candidate], text: str) -> Iterator[Candidate]:
    """The digits of a number that a more certain finding leaves uncovered."""
    ends = [one.start, *(place for other in sorted(taken) for place in (other.start, other.end)), one.end]
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        if sum(sign.isdigit() for sign in text[start:end]) >= FEWEST_DIGITS:
            yield one._replace(start=start, end=end)
