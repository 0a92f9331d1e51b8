#!/usr/bin/env bash
# Prove that the .deb in TARGET works on a machine without Python.  Usage (as root, on Debian or Ubuntu):
#   packaging/bundle/check.sh [TARGET]          TARGET: where packaging/bundle.sh and packaging/bundle/deb.sh worked (default: dist)
#
# An empty root is filled with bash, coreutils, grep, sed and what the .deb says that it depends on, and nothing else; there is
# no Python in it and this clone cannot be seen from it.  The .deb is installed there with dpkg and used by an ordinary
# user, in process and network namespaces of their own (only the loopback is up): doctor, kits, every module that app/ and
# ui/ import, a whole run on the starter model, the endpoint, the window on a virtual screen (its picture is kept in
# TARGET/window.png).  Then the .deb is removed again.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
HERE=$PWD/packaging/bundle
TARGET=$(cd "${1:-dist}" && pwd)
DEB=$(ls -t "$TARGET"/neuroweaver_*.deb | head -n 1)
WORK=$TARGET/.work/check
ROOT=$WORK/root
began=$SECONDS
say() { printf '%5d s  %s\n' "$((SECONDS - began))" "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }
[ "$(id -u)" = 0 ] || fail "it needs root: for chroot and namespaces"

fill_root() {
  mkdir -p "$WORK/apt/archives/partial" "$WORK/apt/lists/partial" "$ROOT"/{usr/{bin,sbin,lib,lib64},var/lib/dpkg/{info,updates},proc,dev,sys,tmp,etc,home}
  local name
  for name in bin sbin lib lib64; do ln -sfn "usr/$name" "$ROOT/$name"; done
  : >"$WORK/apt/status"
  local apt=(-q -y -o "Dir::State::status=$WORK/apt/status" -o "Dir::Cache::archives=$WORK/apt/archives" -o APT::Sandbox::User=root)
  apt-get update -q >"$WORK/apt/log" 2>&1 || say "apt-get update failed; going on with the lists that are here"
  apt-get "${apt[@]}" install --no-install-recommends --download-only base-files bash coreutils grep sed "$DEB" >>"$WORK/apt/log" 2>&1 ||
    { tail -n 5 "$WORK/apt/log" >&2; fail "apt cannot satisfy what the package depends on"; }
  for name in "$WORK"/apt/archives/*.deb; do dpkg-deb -x "$name" "$ROOT"; done
  : >"$ROOT/var/lib/dpkg/status"
  echo "root:x:0:0::/root:/bin/sh
someone:x:1000:1000::/home/someone:/bin/bash" >"$ROOT/etc/passwd"
  echo "root:x:0:
someone:x:1000:" >"$ROOT/etc/group"
  echo "127.0.0.1 localhost" >"$ROOT/etc/hosts"
  mkdir -p "$ROOT/home/someone" "$ROOT/tmp/.X11-unix" "$ROOT/tmp/curl"
  # curl and its libraries lie apart, so that the package cannot live off them
  cp "$(command -v curl)" $(ldd "$(command -v curl)" | awk '/=> \//{print $3}' | grep -v '/libc\.so') "$ROOT/tmp/curl/"
  chown 1000:1000 "$ROOT/home/someone"
  chmod 1777 "$ROOT/tmp"
}

# Libraries that a library in the package asks for and does not get in the root.  Left aside: what only a GTK or Wayland
# desktop loads (it has them), and parts of Qt and of scipy that find each other because Python loads them in order.
missing_libraries() {
  (cd "$ROOT" && find opt/neuroweaver -name '*.so*' -type f ! -name libqgtk3.so) >"$ROOT/tmp/libraries"
  chroot "$ROOT" bash -c 'while read -r file; do
      LD_TRACE_LOADED_OBJECTS=1 LD_LIBRARY_PATH=/opt/neuroweaver/_internal /lib64/ld-linux-*.so.* "/$file" 2>&1
    done </tmp/libraries' | awk '/not found/{print $1}' | sort -u |
    grep -vE '^lib(wayland-(client|cursor|egl)|Qt6(Core|Gui|Widgets)|icu(uc|i18n|data)|shiboken6|pyside6|quadmath-)' | paste -sd' '
}

# Commands inside: no variable of ours, no network but the loopback, an ordinary user.  All processes end with the shell.
inside() {
  unshare --mount --net --pid --ipc --uts --fork --kill-child -- bash -c '
    set -e
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --rbind /sys "$1/sys"
    mount --bind /tmp/.X11-unix "$1/tmp/.X11-unix"
    ip link set lo up
    exec env -i HOME=/home/someone USER=someone PATH=/usr/bin:/bin LANG=C.UTF-8 "${@:4}" \
      /usr/sbin/chroot --userspec=1000:1000 "$1" bash "$2" "$3"' - "$ROOT" "$1" "$2" "${@:3}"
}

rm -rf "$WORK"
mkdir -p "$WORK" /tmp/.X11-unix
say "an empty root with what $(basename "$DEB") depends on"
fill_root
found=$(find "$ROOT" \( -path '*bin/python*' -o -name 'libpython*' \) -print -quit)
[ -z "$found" ] || fail "there is a Python in the root: $found"
say "$(ls "$WORK"/apt/archives/*.deb | wc -l) packages, no Python among them"

dpkg --root="$ROOT" --force-depends -i "$DEB" >"$WORK/dpkg.log" 2>&1 || { cat "$WORK/dpkg.log" >&2; fail "dpkg did not install it"; }
say "installed: $(du -sm "$ROOT/opt/neuroweaver" | cut -f1) MB"
missing=$(missing_libraries || true)
[ -z "$missing" ] || fail "libraries that nothing brings: $missing"
install -m 755 "$HERE/check_inside.sh" "$HERE/check_imports.py" "$ROOT/tmp/"

say "the main job, from a file to an answer of the endpoint"
inside /tmp/check_inside.sh job

say "the window"
DISPLAY_NUMBER=${DISPLAY_NUMBER:-93}
Xvfb ":$DISPLAY_NUMBER" -screen 0 1440x900x24 -nolisten tcp >"$WORK/xvfb.log" 2>&1 &
screen=$!
trap 'kill $screen 2>/dev/null || true' EXIT
sleep 2
inside /tmp/check_inside.sh window "DISPLAY=:$DISPLAY_NUMBER" &
window=$!
shows() { DISPLAY=:$DISPLAY_NUMBER xdotool search --class NeuroWeaver >/dev/null 2>&1; } # the class that the desktop file names
for _ in $(seq 120); do shows && break; sleep 1; done
shows || fail "no window of class NeuroWeaver came up in two minutes"
sleep 15 # until it has read its store and drawn the first page
DISPLAY=:$DISPLAY_NUMBER QT_QPA_PLATFORM=xcb .venv/bin/python - "$TARGET/window.png" <<'EOF'
import sys
from PySide6.QtGui import QGuiApplication
application = QGuiApplication([])
picture = application.primaryScreen().grabWindow(0)
picture.save(sys.argv[1])
image = picture.toImage()
colours = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
print(f"         the screen shows {len(colours)} colours", file=sys.stderr)
sys.exit(len(colours) < 20)
EOF
touch "$ROOT/tmp/close"
wait "$window" || fail "the window did not close in order"
say "picture: $TARGET/window.png"

dpkg --root="$ROOT" -r neuroweaver >>"$WORK/dpkg.log" 2>&1
[ ! -e "$ROOT/opt/neuroweaver" ] && [ ! -L "$ROOT/usr/bin/neuroweaver" ] || fail "removing it left something behind"
[ -n "$(ls -A "$ROOT/home/someone/.local/share/neuroweaver")" ] || fail "removing it took the user's data"
say "removed; the user's data is still there"
rm -rf "$ROOT"
say "all well"
