#!/bin/sh
# Puts Mermaid's package into a folder, for tests/views/diagrams_show_the_fleet.rs:
#   tests/mermaid/install.sh /tmp/mermaid && SEATRIAL_MERMAID=/tmp/mermaid cargo test --test views diagrams_show_the_fleet
set -eu
mkdir -p "$1"
cd "$1"
[ -f package.json ] || npm init -y > /dev/null
npm install --no-audit --no-fund mermaid@11 jsdom@26 > /dev/null
