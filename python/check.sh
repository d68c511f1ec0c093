#!/bin/sh
# Builds the Python package, installs it into an environment of its own, and runs its tests.
#
#   sh python/check.sh PROGRAM FOLDER
#
# PROGRAM is the seatrial that results are compared with, built of the same sources; FOLDER is where the
# environment is made, or is there already. Ends with 77 where Python or the packages cannot be had.
set -eu
program=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")"
packages='maturin>=1.9,<2 ray>=2.9 pyarrow>=14 pandas>=2 pytest>=8 mypy>=1.10'

without() {
    echo "cannot be checked: $1" >&2
    exit 77
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || without "no Python of 3.10 or later"
python=$folder/env/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/env" || without "no environment of Python can be made"
fi
install() {
    "$python" -m pip --quiet --disable-pip-version-check --retries 1 install "$@"
}
# uv does in seconds what pip takes a minute or two for.
install uv || without "no package can be installed"
# shellcheck disable=SC2086 # a word for each package
"$folder/env/bin/uv" pip install --quiet --python "$python" $packages ||
    install $packages || without "not all of its packages can be installed"

# As the simulator's own tests are built, so that what those built is not built again. (By `--profile test`
# itself cargo makes a program of tests.)
export CARGO_PROFILE_DEV_OPT_LEVEL=1
rm -rf "$folder/wheels"
"$folder/env/bin/maturin" build --quiet --locked --profile dev --features alongside-tests \
    --compatibility linux --interpreter "$python" --out "$folder/wheels"
install --no-deps --force-reinstall "$folder"/wheels/seatrial-*.whl

"$python" -m mypy --cache-dir "$folder/mypy" seatrial tests/*.py
# From another folder, so that it is the installed package that is tested.
cd "$folder"
export SEATRIAL="$program" RAY_USAGE_STATS_ENABLED=0
exec "$python" -m pytest -q -p no:cacheprovider --durations=5 \
    --rootdir "$OLDPWD" -c "$OLDPWD/pyproject.toml" "$OLDPWD/tests"
