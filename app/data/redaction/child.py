"""The child that looks for private data: ``python -m app.data.redaction.child SETTINGS``; batches come by standard input."""

from __future__ import annotations

import sys

import orjson

from app.config import offline
from app.data.redaction.crew import answer, look, read_frame, write_frame
from app.data.redaction.detect import Detector, Settings


def main(settings: str) -> int:
    """Answer batches until there are no more."""
    offline.begin("redact")
    given = orjson.loads(settings)
    detector = Detector(Settings(tuple(given["entities"]), tuple(given["languages"]), given["threshold"], given["model"]))
    source, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        while (content := read_frame(source)) is not None:
            write_frame(out, orjson.dumps(answer(look(detector, orjson.loads(content)))))
    except BrokenPipeError:  # the parent has stopped
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
