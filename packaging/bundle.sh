#!/usr/bin/env bash
# Make TARGET/neuroweaver: the product with its own Python, to be started on a machine that has none.
# Usage: packaging/bundle.sh [TARGET]     (default: dist; the .venv that packaging/setup.sh makes is read, not changed)
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
TARGET=${1:-dist}
mkdir -p "$TARGET"
TARGET=$(cd "$TARGET" && pwd)
WORK=$TARGET/.work
VENV=$PWD/.venv
PYTHON=$VENV/bin/python
[ -x "$PYTHON" ] || PYTHON=$VENV/Scripts/python.exe # Windows
[ -x "$PYTHON" ] || { echo "There is no .venv: run packaging/setup.sh first." >&2; exit 1; }
began=$SECONDS
say() { printf '%5d s  %s\n' "$((SECONDS - began))" "$*" >&2; }

say "PyInstaller, in an environment of its own"
BUILDER=$WORK/builder/bin/python
[ -d "$WORK/builder" ] || "$PYTHON" -m venv "$WORK/builder"
[ -x "$BUILDER" ] || BUILDER=$WORK/builder/Scripts/python.exe
"$BUILDER" -m pip install -q --disable-pip-version-check --require-hashes -r packaging/bundle/requirements.txt

say "icons"
"$PYTHON" packaging/bundle/icons.py "$WORK/icons"

say "the program and its files"
NEUROWEAVER_VENV=$VENV NEUROWEAVER_ICONS=$WORK/icons "$BUILDER" -m PyInstaller --noconfirm --log-level WARN \
  --distpath "$TARGET" --workpath "$WORK/build" packaging/bundle/neuroweaver.spec

say "compiling" # where it is installed the user may not write, so it would be compiled at every start
INSIDE=$TARGET/neuroweaver/_internal
"$PYTHON" -m compileall -qq -j 0 --invalidation-mode unchecked-hash "$INSIDE/packages" "$INSIDE/app" "$INSIDE/ui" || true # some files are for other Pythons
say "done: $(du -sm "$TARGET/neuroweaver" | cut -f1) MB in $TARGET/neuroweaver"
