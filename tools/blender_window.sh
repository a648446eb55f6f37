#!/usr/bin/env bash
# blender_window.sh FOLDER makes FOLDER a small Debian sid with Blender, a virtual screen and a software renderer.
# blender_window.sh FOLDER COMMAND... runs a command in it; FOLDER/job is its work folder. Needs root and debootstrap.
set -euo pipefail
root=$1 && shift

if [ ! -e "$root/.ready" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "Making a Debian for Blender's window needs root; or name a Blender: make gui-test BLENDER=/path/to/blender." >&2; exit 3; }
    command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap; }
    mkdir -p "$(dirname "$root")"
    echo "Making a Debian sid with Blender in $root (700 MB)"
    debootstrap --variant=minbase sid "$root" http://deb.debian.org/debian >"$root.log" 2>&1
    chroot "$root" apt-get install -y -qq --no-install-recommends blender python3-numpy python3-cattr python3-requests \
        libgl1-mesa-dri scrot xvfb xauth >>"$root.log" 2>&1
    mkdir -p "$root/job"
    touch "$root/.ready"
fi
[ $# -gt 0 ] || exit 0
mounted=()
trap 'for folder in "${mounted[@]}"; do umount "$folder" || umount --lazy "$folder"; done' EXIT  # or rm would follow them
for folder in proc dev/shm; do
    mountpoint -q "$root/$folder" || { mount --bind "/$folder" "$root/$folder"; mounted+=("$root/$folder"); }
done
chroot "$root" env HOME=/job LIBGL_ALWAYS_SOFTWARE=1 "$@"
