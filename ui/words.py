"""How the window writes numbers, times, money and states.  Numbers carry a unit; thousands are separated."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.gateway.views import Served

_CURRENCY = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF ", "SEK": "SEK "}
STATES = {"queued": "Waiting", "running": "Running", "paused": "Paused", "failed": "Failed", "cancelled": "Stopped",
          "done": "Done"}
STATE_TOKENS = {"queued": "textDisabled", "running": "accentText", "paused": "warning", "failed": "danger",
                "cancelled": "textTertiary", "done": "success"}
VERDICTS = {"better": ("Better", "success", "trending-up"), "worse": ("Worse", "danger", "trending-down"),
            "no_difference": ("No difference shown", "neutral", "minus")}
NOT_MEASURED = ("Not measured yet", "neutral", "circle-dashed")
STEP_WORDS = {
    "dataset.import": ("Import", "Read the data"), "data.refine": ("Refine", "Remove duplicates and leaks"),
    "train.qlora": ("Train", "Teach the model"), "evaluate.compare": ("Evaluate", "Base against tuned"),
    "model.export": ("Export", "One model file, checked"), "model.register": ("Register", "Version and lineage"),
    "model.deploy": ("Serve", "Local address and key")}
DOMAIN_ICONS = {"legal": "scale", "healthcare": "stethoscope", "finance": "landmark"}


def duration(seconds: float) -> str:
    """"14 s", "11 min 40 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else "under 1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


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
    """Under 1 cent "€0.003", under 100 two decimals, else whole."""
    if amount and abs(amount) < 0.001:
        return f"under {sign(currency)}0.001"
    digits = 3 if abs(amount) < 0.01 else 2 if abs(amount) < 100 else 0
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


def points(difference: float, low: float, high: float) -> str:
    """A difference of shares with its 95 % interval: "+45.4 points (40.8 to 50.0)"."""
    bounds = " to ".join(f"{'−' if bound < 0 else ''}{abs(100 * bound):.1f}" for bound in (low, high))
    return f"{signed(100 * difference)} points ({bounds})"


def share(count: int, items: int, low: float, high: float) -> str:
    """A count of items with its 95 % interval in per cent: "27 of 30 (74 to 97 %)"."""
    return f"{count:,} of {items:,} ({100 * low:.0f} to {100 * high:.0f} %)"


def model_name(name: str) -> str:
    """A base model's name for people."""
    return {"smollm2-135m-instruct": "SmolLM2 135M"}.get(name, name.rpartition("/")[2] or name)


def metric_name(name: str) -> str:
    """A metric in plain words."""
    return {"exact_match": "right answers", "f1": "overlap with the right answer", "nll": "mistakes",
            "score": "right fields"}.get(name, name.replace("_", " "))


def is_base(one: Served) -> bool:
    """Whether a served model is a base: its name says so, as the registry writes it."""
    return one.alias.endswith("-base") or one.version.startswith("base:")
