#!/bin/sh
# Fetches what is shipped here anew, by package name, or checks it.
#
#   src/report/vendor/refresh.sh            the versions below, over the files here
#   src/report/vendor/refresh.sh --check    says whether the library here is the package's own file
#
# Needs npm; for the font pip and fonttools (`pip install fonttools`) too.
set -eu
cd "$(dirname "$0")"
echarts=6.1.0
font=0.0.1
to=.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

npm pack --silent --pack-destination "$work" "echarts@$echarts" >/dev/null
tar -xzf "$work/echarts-$echarts.tgz" -C "$work"
if [ "${1:-}" = --check ]; then
    cmp "$work/package/dist/echarts.min.js" echarts.min.js
    echo "echarts.min.js is that of echarts $echarts"
    exit 0
fi
cp "$work/package/dist/echarts.min.js" "$to/echarts.min.js"
cp "$work/package/LICENSE" "$to/echarts-LICENSE.txt"
cp "$work/package/NOTICE" "$to/echarts-NOTICE.txt"
cp "$work/package/licenses/LICENSE-d3" "$to/echarts-LICENSE-d3.txt"

pip download --quiet --no-deps --no-binary :all: --dest "$work" "font-roboto==$font"
tar -xzf "$work/font-roboto-$font.tar.gz" -C "$work"
cp "$work/font-roboto-$font/LICENSE.txt" "$to/roboto-LICENSE.txt"
# Latin, Greek, and the signs that labels use.
pyftsubset "$work/font-roboto-$font/font_roboto/files/Roboto-Regular.ttf" --no-hinting \
    --layout-features=kern --output-file="$to/roboto-regular.ttf" \
    --unicodes="U+0020-007E,U+00A0-017F,U+0391-03C9,U+2010-2026,U+2030,U+2032,U+2033,U+20AC,U+2190-2193,U+2212,U+2248,U+2264,U+2265,U+FFFD"
