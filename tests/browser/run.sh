#!/bin/sh
# Opens reports in a headless browser and checks them; see look.mjs for what is checked.
#
#   tests/browser/run.sh WORK SHOTS PAGE.html..
#
# WORK keeps what is installed (npm packages), SHOTS gets the screenshots. Installs what is missing:
# Chromium from Debian where this runs as root there, the npm packages by their names. Exits with 3,
# and says why, where these cannot be had: then nothing was checked.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1
shots=$2
shift 2

missing() {
    echo "cannot check reports in a browser: $1"
    exit 3
}

browser() {
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

command -v node >/dev/null 2>&1 || missing "node is not installed"
command -v npm >/dev/null 2>&1 || missing "npm is not installed"
if ! browser >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        log=$work/apt.log
        mkdir -p "$work"
        apt-get install -y --no-install-recommends chromium >"$log" 2>&1 ||
            { apt-get update >>"$log" 2>&1 &&
                apt-get install -y --no-install-recommends chromium >>"$log" 2>&1; } ||
            missing "chromium cannot be installed: $(tail -n 1 "$log")"
    fi
    browser >/dev/null || missing "chromium is not installed"
fi

mkdir -p "$work" "$shots"
if ! cmp -s "$here/package.json" "$work/package.json" || [ ! -d "$work/node_modules/axe-core" ]; then
    # Two tests at once may not install to one folder.
    fresh=$work/fresh.$$
    mkdir -p "$fresh"
    cp "$here/package.json" "$fresh/"
    npm install --prefix "$fresh" --no-audit --no-fund --ignore-scripts --no-package-lock \
        >"$work/npm.log" 2>&1 || missing "npm install fails: $(tail -n 1 "$work/npm.log")"
    rm -rf "$work/node_modules"
    mv "$fresh/node_modules" "$work/node_modules"
    cp "$here/package.json" "$work/package.json"
    rm -rf "$fresh"
fi
cp "$here/look.mjs" "$work/look.mjs"
exec node "$work/look.mjs" "$(browser)" "$shots" "$@"
