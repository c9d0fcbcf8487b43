#!/bin/sh
# decent-bench 0.3 into .peers/decent-bench, for `make bench`. It needs Python 3.13: PYTHON=... says where.
set -eu
cd "$(dirname "$0")/../../.."
"${PYTHON:-python3.13}" -m venv .peers/decent-bench
.peers/decent-bench/bin/python -m pip --disable-pip-version-check --quiet install decent-bench==0.3.0
