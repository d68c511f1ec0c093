#!/bin/sh
# Installs the wheel that the kernel tables are made of into a virtual environment of its own, and
# prints that folder, which `seatrial calibrate import` reads:
#
#   calibration/fetch-wheel.sh FOLDER [REQUIREMENT]
#
# REQUIREMENT is aiconfigurator-core==0.12.0 unless another is given (20 MB). Its successor aisimulate
# 0.13 has 120 MB and the same layout; PyPI has the wheels of its pre-releases, of which
# aisimulate==0.13.0.dev202610270000000085 is read, and of the release no more than a reference. Needs python3 with venv, and PyPI. What is there
# already is not fetched again.
set -eu
folder=${1:?"fetch-wheel.sh: name a folder to install to"}
wanted=${2:-aiconfigurator-core==0.12.0}
mark="$folder/fetched-$wanted"
if [ ! -e "$mark" ]; then
    python3 -m venv "$folder" >&2
    # Its data alone is read: nothing that it depends on is needed.
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
        --retries 2 --timeout 20 "$wanted" >&2
    touch "$mark"
fi
echo "$folder"
