#!/usr/bin/env bash
# Prints the path of a Chromium that runs: $CHROMIUM, one that is installed, Playwright's own, or, where there is
# none, Debian's or Playwright's after installing it. What happens on the way goes to standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

runs() {
    "$1" --version >/dev/null 2>&1 </dev/null
}

# A Chromium that needs no installing, or nothing.
find_one() {
    local name path
    for name in chromium chromium-browser google-chrome-stable google-chrome; do
        if path=$(command -v "$name") && runs "$path"; then
            echo "$path"
            return
        fi
    done
    for path in "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/chrome-linux*/chrome; do
        if [[ -x "$path" ]] && runs "$path"; then
            echo "$path"
            return
        fi
    done
}

install_one() {
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "Installing Debian's Chromium for the browser tests ..." >&2
        export DEBIAN_FRONTEND=noninteractive
        if apt-get -qq update >&2 && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; then
            return
        fi
    fi
    echo "Installing Playwright's Chromium for the browser tests ..." >&2
    .venv/bin/python -m playwright install chromium >&2
}

if [[ -n "${CHROMIUM:-}" ]]; then
    if ! runs "$CHROMIUM"; then
        echo "CHROMIUM names $CHROMIUM, which does not run. Name another, or unset it to have one found." >&2
        exit 1
    fi
    echo "$CHROMIUM"
    exit
fi

found=$(find_one)
if [[ -z "$found" && "${1:-}" != "--no-install" ]]; then
    install_one || true
    found=$(find_one)
fi
if [[ -z "$found" ]]; then
    echo "The browser tests need a Chromium, and none was found or could be installed." >&2
    echo "Install one (Debian: apt-get install chromium), or name one: CHROMIUM=/path/to/chromium make test" >&2
    exit 1
fi
echo "$found"
