#!/usr/bin/env bash
# A real S3 server (Versity S3 Gateway on a folder), built from the Go module proxy, loopback only.
#   s3.sh start | stop
# Environment: S3_ROOT (~/.cache/confab-services/s3)  S3_PORT (17070)  S3_ACCESS_KEY (test)  S3_SECRET_KEY (testsecret)
# Exits with 3 when a program is missing; the last line names it.
set -euo pipefail
ROOT=${S3_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/confab-services/s3}
PORT=${S3_PORT:-17070}
BIN=$ROOT/bin/versitygw
VERSION=${S3_VERSION:-v1.8.0}

provision() {
  [ ! -x "$BIN" ] || return 0
  command -v go >/dev/null || { echo "no Go to build the Versity S3 gateway with" >&2; exit 3; }
  mkdir -p "$ROOT/bin"
  GOFLAGS=-mod=mod GOBIN="$ROOT/bin" go install "github.com/versity/versitygw/cmd/versitygw@$VERSION" >&2 ||
    { echo "the Versity S3 gateway could not be built" >&2; exit 3; }
}

alive() { [ -s "$ROOT/pid" ] && grep -zqF versitygw "/proc/$(cat "$ROOT/pid")/cmdline" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

start() {
  provision
  if alive; then echo "already running: $(cat "$ROOT/pid")"; return; fi
  if answers; then echo "port $PORT is taken" >&2; exit 1; fi
  rm -rf "$ROOT/data"
  mkdir -p "$ROOT/data"
  ROOT_ACCESS_KEY=${S3_ACCESS_KEY:-test} ROOT_SECRET_KEY=${S3_SECRET_KEY:-testsecret} \
    setsid "$BIN" --port "127.0.0.1:$PORT" posix "$ROOT/data" >"$ROOT/log" 2>&1 </dev/null &
  echo $! >"$ROOT/pid"
  for _ in $(seq 100); do
    if answers; then echo "S3 up on http://127.0.0.1:$PORT, pid $(cat "$ROOT/pid")"; return; fi
    sleep 0.1
  done
  tail -20 "$ROOT/log" >&2
  exit 1
}

stop() {
  if alive; then kill "$(cat "$ROOT/pid")"; echo stopped; else echo "not running"; fi
  rm -f "$ROOT/pid"
}

case "${1:-}" in start | stop) "$1" ;; *) sed -n '2,5p' "$0"; exit 2 ;; esac
