"""How the window writes numbers, times, money and states.  Numbers carry a unit; thousands are separated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.config.verdicts import NLL
from app.config.verdicts import score as score  # one way to print a score, for the pages too

if TYPE_CHECKING:
    from app.gateway.views import Served
    from app.workflow.views import RunLine

_CURRENCY = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF ", "SEK": "SEK "}
STATES = {"queued": "Waiting", "running": "Running", "paused": "Paused", "failed": "Failed", "cancelled": "Stopped",
          "done": "Done"}
STATE_TOKENS = {"queued": "textDisabled", "running": "accentText", "paused": "warning", "failed": "danger",
                "cancelled": "textTertiary", "done": "success"}
VERDICTS = {"better": ("Better", "success", "trending-up"), "worse": ("Worse", "danger", "trending-down"),
            "no_difference": ("No difference shown", "neutral", "minus")}
NOT_MEASURED = ("Not measured yet", "neutral", "circle-dashed")
STEP_WORDS = {
    "hub.download": ("Fetch", "From the Hub, checked"),
    "dataset.import": ("Import", "Read the data"), "dataset.open": ("Open", "A dataset in the store"),
    "data.remap": ("Map anew", "Other parts for the columns"), "data.refine": ("Refine", "Remove repeats"),
    "data.clean": ("Clean", "Mend letters, take out markup"), "data.redact": ("Redact", "Hide private data"),
    "data.split": ("Split", "Hold rows back"), "data.assess": ("Assess", "Measure quality"), "data.select": ("Select", "Choose rows"),
    "train.qlora": ("Train", "Teach the model"), "evaluate.compare": ("Evaluate", "Held-back test"),
    "data.synthesise": ("Make rows", "New rows by a model"), "data.augment": ("Reword", "Known rows in other words"),
    "model.export": ("Export", "Checked file"), "model.register": ("Register", "New version"),
    "model.deploy": ("Serve", "Local address"), "model.open": ("Open", "The original of a version"),
    "model.attach": ("Add", "To the version")}
DOMAIN_ICONS = {"legal": "scale", "healthcare": "stethoscope", "finance": "landmark"}


def duration(seconds: float) -> str:
    """"14 s", "11 min 40 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else "under 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def about(seconds: float) -> str:
    """A duration without its seconds where there are minutes: "8 min"."""
    return duration(seconds) if not 60 <= seconds < 3600 else f"{round(seconds / 60)} min"


def left(seconds: float) -> str:
    """"6 min left", without false precision."""
    if seconds < 50:
        return "under a minute left"
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min left" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min left"


def clock(at: float, *, with_seconds: bool = False) -> str:
    """Local time of day."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S" if with_seconds else "%H:%M")


def day(at: float) -> str:
    """"today 14:32" or "18 Nov 14:32"."""
    when = datetime.fromtimestamp(at).astimezone()
    if when.date() == datetime.now().astimezone().date():
        return f"today {when:%H:%M}"
    return f"{when.day} {when:%b %H:%M}"


def sign(currency: str) -> str:
    """What stands before an amount: "€", or the code and a space where there is no sign."""
    return _CURRENCY.get(currency, f"{currency} ")


def money(amount: float, currency: str) -> str:
    """Under 1 cent "€0.003", under 100 two decimals, else whole; nothing is "€0.00"."""
    if amount and abs(amount) < 0.001:
        return f"under {sign(currency)}0.001"
    digits = 3 if 0 < abs(amount) < 0.01 else 2 if abs(amount) < 100 else 0
    return f"{sign(currency)}{amount:,.{digits}f}"


def energy(watt_hours: float) -> str:
    """"2.5 Wh" or "0.12 kWh"."""
    return f"{watt_hours:.1f} Wh" if watt_hours < 100 else f"{watt_hours / 1000:.2f} kWh"


def size(count: float) -> str:
    """Bytes as "98 MB" or "1.1 GB"."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def signed(value: float) -> str:
    """"+45.4" or "−3.1", with a real minus."""
    return f"{'+' if value >= 0 else '−'}{abs(value):.1f}"


def is_nll(metric: str) -> bool:
    """Whether scores are nats a word piece of unseen texts, where lower is better; all others are shares of what is right."""
    return metric == NLL


def change(metric: str, difference: float) -> str:
    """A difference of scores: "+45.4", or "−0.210" nats."""
    return f"{'+' if difference >= 0 else '−'}{score(metric, abs(difference))}"


def bounds(metric: str, low: float, high: float) -> str:
    """The 95 % interval of a difference: "40.8 to 50.0"."""
    first, last = (f"{'−' if bound < 0 else ''}{score(metric, abs(bound))}" for bound in (low, high))
    return f"{first} to {last}"


def margin(metric: str, difference: float, low: float, high: float) -> str:
    """A difference with its 95 % interval: "+45.4 points (40.8 to 50.0)"."""
    figures = change(metric, difference), bounds(metric, low, high)
    return f"{figures[0]} nats a word piece ({figures[1]})" if is_nll(metric) else f"{figures[0]} points ({figures[1]})"


def under_change(metric: str, low: float, high: float) -> str:
    """What stands under a difference on a card."""
    if is_nll(metric):
        return f"nats a word piece, {bounds(metric, low, high)}"
    return f"points, {bounds(metric, low, high)}"


def held_back(metric: str) -> str:
    """What was measured, one by one."""
    return "held-back texts" if is_nll(metric) else "held-back questions"


def counted(metric: str, items: int) -> str:
    """How many of them: "120 questions"."""
    return f"{items:,} texts" if is_nll(metric) else f"{items:,} questions"


def share(count: int, items: int, low: float, high: float) -> str:
    """A count of items with its 95 % interval in per cent: "27 of 30 (74 to 97 %)"."""
    return f"{count:,} of {items:,} ({100 * low:.0f} to {100 * high:.0f} %)"


def refused(kinds: Mapping[str, tuple[int, int]], wrongly: tuple[int, int] | None) -> str:
    """"Refused: out of scope 27/30; wrongly 1/80", or nothing where nothing was to be refused."""
    parts = [f"{kind} {count:,}/{items:,}" for kind, (count, items) in kinds.items()]
    if not parts:
        return ""
    return f"Refused: {', '.join(parts)}" + (f"; wrongly {wrongly[0]:,}/{wrongly[1]:,}" if wrongly else "")


def refused_of_kit(measured: Mapping[str, Any]) -> str:
    """What a kit's own figures say of refusals."""
    return refused({str(kind): tuple(share) for kind, share in (measured.get("refused") or {}).items()},
                   measured.get("refused_wrongly"))


def refused_of_report(report: Mapping[str, Any]) -> str:
    """What a run's report says of the tuned model's refusals."""
    found = report.get("behaviour") or {}
    kinds = {str(one["kind"]): (one["arms"]["tuned"]["count"], one["arms"]["tuned"]["items"]) for one in found.get("kinds", ())}
    wrongly = found.get("refused_wrongly", {}).get("tuned")
    return refused(kinds, (wrongly["count"], wrongly["items"]) if wrongly else None)


def domain_name(domain: str) -> str:
    """A kit's domain for people."""
    return {"": "Kit", "own": "Own field"}.get(domain, domain.capitalize())


def first_sentence(text: str, most: int) -> str:
    """What a card has room for: the first sentence, cut between two words after ``most`` characters."""
    head, stop, _ = text.partition(". ")
    sentence = f"{head}." if stop else text
    return sentence if len(sentence) <= most else f"{sentence[:most].rpartition(' ')[0]} …"


def licence_name(licence: str) -> str:
    """An SPDX expression for people."""
    return {"": "see kit", "NOASSERTION": "not stated"}.get(licence, licence.replace(" AND ", ", "))


def short(name: str, most: int = 36) -> str:
    """A name of the user's for a title, where a long one would push the rest off the screen; it stands whole elsewhere."""
    return name if len(name) <= most else f"{name[:most - 1].rstrip()}…"


def model_name(name: str) -> str:
    """A base model's name for people."""
    return {"smollm2-135m-instruct": "SmolLM2 135M"}.get(name, name.rpartition("/")[2] or name)


def reached(line: RunLine) -> str:
    """The step that a run is at, and how much of all is done: "Train, 37 %"; between two steps the percent alone."""
    return f"{line.step}, {100 * line.progress:.0f} %" if line.step else f"{100 * line.progress:.0f} %"


def metric_name(name: str) -> str:
    """A metric in plain words."""
    return {"exact_match": "right answers", "f1": "overlap with the right answer", "nll": "surprise",
            "score": "right fields"}.get(name, name.replace("_", " "))


def is_base(one: Served) -> bool:
    """Whether a served model is a base: its name says so, as the registry writes it."""
    return one.alias.endswith("-base") or one.version.startswith("base:")
