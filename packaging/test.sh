#!/usr/bin/env bash
# Command two: set up, then run every test.  Arguments go to pytest.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packaging/setup.sh --tests
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_WAIT_POLICY=passive QT_QPA_PLATFORM=offscreen
exec .venv/bin/python -m pytest "$@"
