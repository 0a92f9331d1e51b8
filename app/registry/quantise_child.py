"""Quantise one GGUF file: ``python -m app.registry.quantise_child SOURCE TARGET FTYPE THREADS``.  Imports nothing of ours."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


def main(source: str, target: str, ftype: int, threads: int) -> int:
    """Exit code 0 if the file was written; llama.cpp's own words go to standard error."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = ftype, threads
    code = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
    if code != 0:
        Path(target).unlink(missing_ok=True)
        sys.stderr.write(f"llama.cpp's quantiser ended with code {code}.\n")
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
