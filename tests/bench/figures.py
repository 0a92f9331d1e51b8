"""Every figure of the README, each beside its baseline from the same run, a line each.

    python tests/bench/figures.py [PART ...]

Parts: import, gateway, stream, serving, window, training, near, redaction, redact (all by default, in this order; some 20 minutes
on two cores).
Each part is the bench script of its own beside this file, with its own defaults; run that for details.  A busy machine
shows in the load average printed at the head of each part.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def as_printed(out: str) -> list[str]:
    """Scripts that print sentences."""
    return out.strip().splitlines()


def gateway(out: str) -> list[str]:
    """Latency of the gateway and of the same engine asked directly."""
    found: dict[str, Any] = json.loads(out)
    lines = [
        f"gateway{' (stream)' if found['stream'] else ''}, {found['rate']:.0f} requests/s, {name[:3]}: {found['gateway'][name]:.2f} ms, "
        f"direct {found['direct'][name]:.2f} ms, added {found['added'][name]:.2f} ms (aim {found['aim'][name]:.0f} ms)"
        for name in ("p50_ms", "p99_ms")
    ]
    return [*lines, f"  {found['gateway']['requests']} requests each way"]


def serving(out: str) -> list[str]:
    """One client after the other against eight at once."""
    found: dict[str, Any] = json.loads(out)
    return [f"{name.replace('_', ' ')}: {value}" for name, value in found.items()]


def training(out: str) -> list[str]:
    """Our trainer against naive TRL in turns."""
    found: dict[str, Any] = json.loads(out)
    ours, naive = found["arms"]["ours"], found["arms"]["naive"]
    return [
        f"training, {found['threads']} thread: {ours['tokens_per_second']} tokens/s, naive TRL (fp32, padded) {naive['tokens_per_second']}; "
        f"ratio turn by turn, median of {ours['turns']}: {ours['times_naive']} [{ours['lowest']}, {ours['highest']}], "
        f"over all turns {ours['times_naive_over_all_turns']} (aim 4)",
        f"  held-out loss after {ours['tokens']} tokens each: ours {ours['held_out_loss']}, naive {naive['held_out_loss']}, "
        f"before {found['held_out_loss_before']}",
    ]


@dataclass(frozen=True)
class Part:
    """A bench script, its arguments, and how its output reads as lines."""

    script: str
    arguments: tuple[str, ...]
    lines: Callable[[str], list[str]]


PARTS = {
    "import": Part("import_rows.py", (), as_printed),
    "gateway": Part("gateway_overhead.py", (), gateway),
    "stream": Part("gateway_overhead.py", ("--stream",), gateway),
    "serving": Part("serving_speed.py", (), serving),
    "window": Part("window.py", (), as_printed),
    "training": Part("training_speed.py", (), training),
    "near": Part("near_duplicates.py", (), as_printed),
    "redaction": Part("redaction_quality.py", (), as_printed),
    "redact": Part("redaction_rows.py", (), as_printed),
}


def main() -> int:
    """Run the parts, print their lines; 1 if a script broke (a missed budget is printed, not an error)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS))
    broken = 0
    for name in parser.parse_args().parts or PARTS:
        load = f", load average {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
        started, part = time.monotonic(), PARTS[name]
        done = subprocess.run([sys.executable, str(HERE / part.script), *part.arguments], capture_output=True, text=True, check=False)
        print(f"[{name}] {time.monotonic() - started:.0f} s{load}")
        try:
            print("\n".join(part.lines(done.stdout)), flush=True)
        except (ValueError, KeyError):
            broken = 1
            print(f"{part.script} ended with {done.returncode}:\n{done.stderr[-2000:]}", flush=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
