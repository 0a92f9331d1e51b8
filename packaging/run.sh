#!/usr/bin/env bash
# Command one: set up, then open the window.  With no display: run the starter kit here, then serve its model.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packaging/setup.sh
exec .venv/bin/python main.py "$@"
