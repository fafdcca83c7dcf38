#!/usr/bin/env bash
# Stops the servers that tests have started on this machine.
cd "$(dirname "$0")" || exit 1
for script in cassandra elasticsearch s3; do
  [ ! -e "$script.sh" ] || bash "$script.sh" stop
done
