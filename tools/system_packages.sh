#!/usr/bin/env bash
# The shared libraries Blender's module links against; installs what is missing on Debian and Ubuntu.
set -euo pipefail
missing=()
while read -r library package; do
    ldconfig -p | grep -q "$library" || missing+=("$package")
done <<'LIST'
libX11.so.6 libx11-6
libXrender.so.1 libxrender1
libXfixes.so.3 libxfixes3
libXi.so.6 libxi6
libxkbcommon.so.0 libxkbcommon0
libSM.so.6 libsm6
libICE.so.6 libice6
libGL.so.1 libgl1
LIST
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Blender needs these system packages: ${missing[*]}"
run=()
[ "$(id -u)" -eq 0 ] || run=(sudo)
"${run[@]}" apt-get update -qq
"${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
