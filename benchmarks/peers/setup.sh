#!/usr/bin/env bash
# Installs the renderers of this folder, each into .venv-peers/NAME of the checkout; one that fails leaves the others be.
# newton_vbd, a solver of cloth that benchmarks/cloth runs, is installed where it is named.
# Usage: benchmarks/peers/setup.sh [NAME ...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all=(open3d_lavapipe spark_swiftshader mitsuba_volprim metal_gauss_torch)
known=("${all[@]}" newton_vbd)
home=$here/../../.venv-peers

system_package() { # what to look for, the Debian package that brings it
    compgen -G "$1" >/dev/null && return
    echo "installing the system package $2"
    local run=()
    [ "$(id -u)" -eq 0 ] || run=(sudo)
    "${run[@]}" apt-get update -qq
    "${run[@]}" apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

packages() { # Python packages, into the environment
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

install() {
    case $name in
    open3d_lavapipe)
        system_package "/usr/share/vulkan/icd.d/lvp_icd*.json" mesa-vulkan-drivers
        system_package "/usr/lib/*/libusb-1.0.so.0" libusb-1.0-0
        system_package "/usr/lib/*/libGL.so.1" libgl1
        system_package "/usr/lib/*/libEGL.so.1" libegl1
        packages open3d-cpu==0.20.0 numpy
        ;;
    mitsuba_volprim)
        system_package "/usr/lib/*/libLLVM*19*" libllvm19
        packages mitsuba==3.9.1 numpy
        ;;
    metal_gauss_torch)
        packages "${TORCH:-torch==2.13.0}"
        packages metal-gauss==0.2.1
        ;;
    newton_vbd)
        packages newton==1.8.0 warp-lang numpy
        ;;
    spark_swiftshader)
        system_package /usr/bin/chromium chromium
        packages numpy
        npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$venv" \
            @sparkjsdev/spark@2.2.0 three@0.187.0 fflate@0.8.2
        ;;
    esac
}

if [ "${1-}" = --one ]; then # a process of its own, so that the first failing command ends this renderer alone
    name=$2 venv=$home/$2
    ready=$venv/.ready
    [[ " ${known[*]} " == *" $name "* ]] || { echo "nothing of that name; there are: ${known[*]}" >&2; exit 1; }
    [ "$ready" -nt "${BASH_SOURCE[0]}" ] && exit
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3.11}" -m venv "$venv"
    install
    touch "$ready"
    exit
fi

failed=()
for name in "${@:-${all[@]}}"; do
    if bash "${BASH_SOURCE[0]}" --one "$name"; then
        echo "$name: ready"
    else
        echo "$name: could not be installed" >&2
        failed+=("$name")
    fi
done
[ ${#failed[@]} -eq 0 ]
