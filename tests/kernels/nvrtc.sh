#!/bin/sh
# Installs NVIDIA's runtime compiler from PyPI into a virtual environment in FOLDER, unless it is
# there, and prints the folder of its library. Needs python3, and the network the first time.
#   tests/kernels/nvrtc.sh FOLDER
set -eu
folder=$1
wheel=nvidia-cuda-nvrtc-cu12==12.9.86
if ! [ -e "$folder/installed" ]; then
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 1 "$wheel" >&2
    : >"$folder/installed"
fi
set -- "$folder"/lib/python3*/site-packages/nvidia/cuda_nvrtc/lib
[ -d "$1" ] && echo "$1"
