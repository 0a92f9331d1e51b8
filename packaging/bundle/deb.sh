#!/usr/bin/env bash
# Make TARGET/neuroweaver_VERSION_ARCH.deb from the bundle in TARGET/neuroweaver.  Usage: packaging/bundle/deb.sh [TARGET]
# It has no scripts of its own: what dpkg unpacks is all that it installs, and what dpkg removes is all that goes.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
TARGET=$(cd "${1:-dist}" && pwd)
BUNDLE=$TARGET/neuroweaver
STAGE=$TARGET/.work/deb
[ -x "$BUNDLE/neuroweaver" ] || { echo "There is no $BUNDLE: run packaging/bundle.sh first." >&2; exit 1; }
began=$SECONDS
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
ARCH=$(dpkg --print-architecture)
DEB=$TARGET/neuroweaver_${VERSION}_$ARCH.deb

# The list is set-up's; a library that Ubuntu 24.04 renamed for 64-bit time is asked for under either name.
eval "$(sed -n '/^QT_LIBS="/,/"$/p' packaging/setup.sh)"
GLIBC=$(find "$BUNDLE" -type f \( -name '*.so*' -o -name neuroweaver \) -exec grep -ahoE 'GLIBC_2\.[0-9]+' {} + | sort -uV | tail -n 1)
depends="libc6 (>= ${GLIBC#GLIBC_}), libstdc++6, libgcc-s1, libgomp1, zlib1g"
for name in $QT_LIBS; do
  case $name in libglib2.0-0) name="libglib2.0-0t64 | libglib2.0-0" ;; esac
  depends="$depends, $name"
done

rm -rf "$STAGE"
mkdir -p "$STAGE"/{DEBIAN,opt,usr/bin,usr/share/{applications,doc/neuroweaver}}
cp -al "$BUNDLE" "$STAGE/opt/neuroweaver"
chmod -R a+rX,go-w "$STAGE/opt"
ln -s ../../opt/neuroweaver/neuroweaver "$STAGE/usr/bin/neuroweaver"
install -m 644 packaging/bundle/neuroweaver.desktop "$STAGE/usr/share/applications/"
for size in 16 24 32 48 64 128 256 512; do
  install -D -m 644 "$TARGET/.work/icons/$size.png" "$STAGE/usr/share/icons/hicolor/${size}x$size/apps/neuroweaver.png"
done
install -D -m 644 resources/icons/neuroweaver.svg "$STAGE/usr/share/icons/hicolor/scalable/apps/neuroweaver.svg"
cat >"$STAGE/usr/share/doc/neuroweaver/copyright" <<EOF
NeuroWeaver is licensed under Apache-2.0 (/usr/share/common-licenses/Apache-2.0).
The packages it contains have licences of their own: /opt/neuroweaver/_internal/packages/*.dist-info, and the About page.
EOF
cat >"$STAGE/DEBIAN/control" <<EOF
Package: neuroweaver
Version: $VERSION
Architecture: $ARCH
Maintainer: The NeuroWeaver authors <neuroweaver@localhost>
Installed-Size: $(du -sk "$STAGE/opt" | cut -f1)
Section: science
Priority: optional
Depends: $depends
Recommends: libwayland-client0, libwayland-cursor0, libwayland-egl1
Description: specialise a language model on private data, on one workstation
 Imports a file, refines it, fine-tunes a small model on it, measures the tuned
 model against its base, exports it and serves it behind a local endpoint.
 Brings its own Python, libraries and starter model; needs no network.
EOF
dpkg-deb --root-owner-group -Zzstd -z3 --build "$STAGE" "$DEB" >&2 # half of it is models, which hardly compress
rm -rf "$STAGE"
echo "$DEB: $(du -m "$DEB" | cut -f1) MB, $((SECONDS - began)) s" >&2
