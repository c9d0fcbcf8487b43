#!/bin/sh
# benchopt into .peers/benchopt, for `make bench`. PYTHON=... says with which Python.
set -eu
cd "$(dirname "$0")/../../.."
"${PYTHON:-python3}" -m venv .peers/benchopt
.peers/benchopt/bin/python -m pip --disable-pip-version-check --quiet install "benchopt>=1.7"
