"""Tokens per second of answers through the real endpoint: one client after the other against eight at once.

    python tests/bench/serving_speed.py [--clients 8] [--tokens 64] [--rounds 2] [--threads 0] [--file MODEL.gguf]

The starter model as q8_0 GGUF (llama.cpp's converter makes it first, 20 s; --file takes one that exists), the real service,
llama.cpp with as many slots as clients.  Each round asks the same questions, first one by one, then together; every
question is another one, so that no prompt is in the engine's cache.  Tokens are those of the answers, as the endpoint counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
THINGS = ("a lease", "a patent", "a trade mark", "an heir", "a trust", "a loan", "a will", "a warranty", "a deed", "a tort",
          "an invoice", "a licence", "a charter", "a permit", "a contract", "a bond")


def ask(told: dict[str, Any], question: str, tokens: int) -> int:
    """Tokens of one answer."""
    body = {"model": "starter", "messages": [{"role": "user", "content": question}], "max_tokens": tokens, "temperature": 0.7,
            "logit_bias": {"2": -100}}  # never the end-of-answer token: every answer has the same length
    request = urllib.request.Request(f"{told['base_url']}/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Authorization": f"Bearer {told['key']}"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return int(json.load(answer)["usage"]["completion_tokens"])


def speed(told: dict[str, Any], questions: list[str], tokens: int, clients: int) -> tuple[int, float]:
    """(tokens, seconds) of all questions, so many at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        found = list(threads.map(lambda question: ask(told, question, tokens), questions))
    return sum(found), time.perf_counter() - began


def measure(told: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Serial and together, round by round."""
    ask(told, "Hello", 4)  # loads the model
    sums = {"serial": [0, 0.0], "together": [0, 0.0]}
    for number in range(given.rounds):
        for name, clients in (("serial", 1), ("together", given.clients)):
            questions = [f"What is {THINGS[at % len(THINGS)]}? ({name} {number})" for at in range(given.clients)]
            tokens, seconds = speed(told, questions, given.tokens, clients)
            sums[name][0] += tokens
            sums[name][1] += seconds
    rates = {name: tokens / seconds for name, (tokens, seconds) in sums.items()}
    return {"clients": given.clients, "tokens_each": given.tokens, "serial_tokens_per_second": rates["serial"],
            "together_tokens_per_second": rates["together"], "ratio": rates["together"] / rates["serial"]}


def deploy(store: Any, file: Path, given: argparse.Namespace) -> None:
    """Serve the file as "starter"."""
    from app.registry.deployments import write_deployment
    from app.store import settings

    if given.threads:
        settings.put(store, "threads", given.threads)
    write_deployment(store, "starter", "starter@1", "llama.cpp", str(file), {"slots": given.clients, "context": 512})


def run(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Convert, serve, measure, stop."""
    from app.registry.convert import convert
    from app.store import Profile, Store
    from tests.tiny import STARTER

    file = given.file or home / "starter-q8_0.gguf"
    if not file.exists():
        convert(STARTER, file, "q8_0")
    with Store.open(Profile(home / "profile")) as store:
        deploy(store, file, given)
    service = subprocess.Popen([sys.executable, "main.py", "service", "--json", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE,
                               text=True)
    try:
        assert service.stdout
        return measure(json.loads(service.stdout.readline()), given)
    finally:
        service.terminate()
        service.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0: as the product chooses")
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(NEUROWEAVER_HOME=f"{home}/profile", NEUROWEAVER_KEYRING="off")
        print(json.dumps({**run(given, Path(home)), "load_average_before": before}, indent=1))


if __name__ == "__main__":
    main()
