#!/usr/bin/env bash
# blender_environment.sh VERSION makes .venv-blender-VERSION: Blender as a module, in the one Python it is built for.
# blender_environment.sh --python VERSION prints that Python; exit code 3 and one sentence when there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() { "$1" -c 'import sys, ensurepip; sys.exit("%d.%d" % sys.version_info[:2] != "'"$2"'")' 2>/dev/null; }

# The first usable Python $2: $1, pyenv's, uv's, then Debian's.
find_python() {
    local found candidates=("$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$2".*/bin/python)
    command -v uv >/dev/null && candidates+=("$(uv python find --no-python-downloads "$2" 2>/dev/null || true)")
    for found in "${candidates[@]}"; do
        usable "$found" "$2" && { echo "$found"; return; }
    done
    if [ "$(id -u)" -eq 0 ] && [ -n "$(apt-cache search --names-only "^python$2-venv\$" 2>/dev/null)" ]; then
        apt-get install -y -qq --no-install-recommends "python$2-venv" >/dev/null
        usable "/usr/bin/python$2" "$2" && { echo "/usr/bin/python$2"; return; }
    fi
    echo "Blender $version needs Python $2 and none was found: install it with pyenv, uv or apt, or name it (make $3=...)." >&2
    return 3
}

[ "$1" = --python ] && only_print=yes && shift || only_print=
version=$1
case $version in
    4.* | 5.0.*) python=$(find_python "${PYTHON:-python3.11}" 3.11 PYTHON) || exit 3 ;;
    *) python=$(find_python "${PYTHON313:-python3.13}" 3.13 PYTHON313) || exit 3 ;;
esac
[ -z "$only_print" ] || { echo "$python"; exit; }

folder=.venv-blender-$version
echo "Making Blender's environment ($folder)"
tools/system_packages.sh
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "bpy==$version"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/blender.txt
touch "$folder/.ready"
