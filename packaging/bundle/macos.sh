#!/usr/bin/env bash
# Make TARGET/NeuroWeaver.app from the bundle in TARGET/neuroweaver and, on macOS, TARGET/NeuroWeaver.dmg.
# Usage: packaging/bundle/macos.sh [TARGET].  Neither is signed or notarised: macOS asks before the first start.
# The bundle stays one folder (Contents/Resources/neuroweaver), so that files are found by path as on other systems.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
TARGET=$(cd "${1:-dist}" && pwd)
APP=$TARGET/NeuroWeaver.app
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
[ -x "$TARGET/neuroweaver/neuroweaver" ] || { echo "There is no $TARGET/neuroweaver: run packaging/bundle.sh first." >&2; exit 1; }

rm -rf "$APP"
mkdir -p "$APP/Contents/MacOS" "$APP/Contents/Resources"
cp -R "$TARGET/neuroweaver" "$APP/Contents/Resources/neuroweaver"
cp "$TARGET/.work/icons/neuroweaver.icns" "$APP/Contents/Resources/"
cat >"$APP/Contents/MacOS/NeuroWeaver" <<'EOF'
#!/bin/sh
exec "$(dirname "$0")/../Resources/neuroweaver/neuroweaver" "$@"
EOF
chmod 755 "$APP/Contents/MacOS/NeuroWeaver"
cat >"$APP/Contents/Info.plist" <<EOF
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>CFBundleName</key><string>NeuroWeaver</string>
  <key>CFBundleDisplayName</key><string>NeuroWeaver</string>
  <key>CFBundleIdentifier</key><string>org.neuroweaver.NeuroWeaver</string>
  <key>CFBundleExecutable</key><string>NeuroWeaver</string>
  <key>CFBundleIconFile</key><string>neuroweaver.icns</string>
  <key>CFBundlePackageType</key><string>APPL</string>
  <key>CFBundleShortVersionString</key><string>$VERSION</string>
  <key>CFBundleVersion</key><string>$VERSION</string>
  <key>LSMinimumSystemVersion</key><string>14.0</string>
  <key>NSHighResolutionCapable</key><true/>
</dict>
</plist>
EOF
command -v hdiutil >/dev/null || { echo "$APP; no hdiutil here, so no disk image" >&2; exit 0; }
hdiutil create -volname NeuroWeaver -srcfolder "$APP" -ov -format UDZO "$TARGET/NeuroWeaver.dmg"
