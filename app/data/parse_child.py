"""The child that reads one file: ``python -m app.data.parse_child JOB``; parts go to standard output (see parsing.py)."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time

import orjson

from app.config import offline
from app.data.parsing import MEMORY, OVER_MEMORY, Job, parse_file, write_part
from app.errors import DatasetError, Place

WATCH_SECONDS = 0.02


def watch_memory(limit: int) -> None:
    """End this process as soon as it uses more than ``limit`` bytes: a thread, because libraries allocate where they like."""
    import psutil

    process = psutil.Process()

    def watch() -> None:
        while process.memory_info().rss < limit:
            time.sleep(WATCH_SECONDS)
        os._exit(OVER_MEMORY)

    threading.Thread(target=watch, name="memory-watch", daemon=True).start()


def main(job_text: str) -> int:
    """Read the file; a failure goes through the pipe too."""
    offline.begin("import")
    watch_memory(MEMORY)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # rows make no cycles; the default looks for them every 700 objects
    job, out = Job(**orjson.loads(job_text)), sys.stdout.buffer
    try:
        for part in parse_file(job):
            write_part(out, part)
    except DatasetError as problem:
        write_part(out, problem)
    except MemoryError:
        return OVER_MEMORY
    except BrokenPipeError:  # the reader has stopped
        return 0
    except Exception as problem:  # a library's own failure on a file that is not what it says
        write_part(
            out,
            DatasetError(
                "dataset.unreadable",
                "The file cannot be read; nothing was imported.",
                where=Place.of(job.path),
                why=f"{type(problem).__name__}: {str(problem)[:300]}.",
                remedy="Open it in the program that made it and save it again.",
            ),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
