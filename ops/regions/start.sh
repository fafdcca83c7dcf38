#!/bin/sh
# Starts two regions and a witness on this machine, on the loopback: for each a JetStream server and a spine server, on
# the files of nats/regions. For trying regions out, not for production: a machine that fails takes all regions with it.
#
#   sh ops/regions/start.sh [first port (24000)] [folder (./data/regions)]
#
# It uses 30 ports from the first one on. The folder gets the data, the logs, the passwords (passwords.env, only for
# this user) and a topology.yaml. Ctrl-C or SIGTERM stops all servers in order. NATS_SERVER names the program
# nats-server, where it is not in the PATH.
set -eu

first=${1:-24000}
folder=${2:-./data/regions}
server=${NATS_SERVER:-nats-server}
conf=$(cd "$(dirname "$0")/../../nats/regions" && pwd)
regions="a b c"

command -v "$server" >/dev/null || { echo "$server does not exist: set NATS_SERVER" >&2; exit 1; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# The users of nats/users.conf, and the leaf nodes of the spines.
passwords="$folder/passwords.env"
if [ ! -f "$passwords" ]; then
  (
    umask 077
    for user in EDGE COMMANDS PROJECTIONS SERVER OPERATOR ANALYST REGION; do
      echo "CONFAB_NATS_${user}_PASSWORD=p$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
    done > "$passwords"
  )
fi
set -a
. "$passwords"
set +a

# Ports of the region with this number: 0 clients, 1 clients of the spine (none), 2 leaf nodes, 3 spines.
port() { echo $((first + $1 * 10 + $2)); }
# Addresses of the spine of the region with this number, for one user of the spine.
spine() { echo "[\"nats-leaf://$2:$CONFAB_NATS_REGION_PASSWORD@127.0.0.1:$(port "$1" 2)\"]"; }

routes="[\"nats://127.0.0.1:$(port 0 3)\", \"nats://127.0.0.1:$(port 1 3)\", \"nats://127.0.0.1:$(port 2 3)\"]"

pids=""
stop() {
  trap - INT TERM EXIT
  [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || true
  wait
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

number=0
for region in $regions; do
  mkdir -p "$folder/$region"
  CONFAB_NATS_NAME=spine-$region \
    CONFAB_NATS_LISTEN=127.0.0.1:$(port $number 1) \
    CONFAB_NATS_LEAF_LISTEN=127.0.0.1:$(port $number 2) \
    CONFAB_NATS_CLUSTER_LISTEN=127.0.0.1:$(port $number 3) \
    CONFAB_NATS_ROUTES="$routes" \
    "$server" -c "$conf/spine.conf" -l "$folder/spine-$region.log" &
  pids="$pids $!"
  CONFAB_NATS_NAME=${region}1 CONFAB_NATS_DOMAIN=$region \
    CONFAB_NATS_LISTEN=127.0.0.1:$(port $number 0) \
    CONFAB_NATS_STORE="$folder/$region" \
    CONFAB_NATS_SPINE=$(spine $number region) \
    CONFAB_NATS_SPINE_EDGE=$(spine $number region-edge) \
    CONFAB_NATS_SPINE_COMMANDS=$(spine $number region-commands) \
    "$server" -c "$conf/region.conf" -l "$folder/$region.log" &
  pids="$pids $!"
  number=$((number + 1))
done

cat > "$folder/topology.yaml" <<EOF
regions:
  a: {domain: a, urls: ["nats://127.0.0.1:$(port 0 0)"]}
  b: {domain: b, urls: ["nats://127.0.0.1:$(port 1 0)"]}
  c: {domain: c, urls: ["nats://127.0.0.1:$(port 2 0)"], witness: true}
streams:
  conv: {home: a, mirrors: [b]}
  user: {home: a, mirrors: [b]}
EOF

echo "regions a, b and c on ports $first to $((first + 23)), in $folder. In another terminal:"
echo "  . $passwords"
echo "  export CONFAB_NATS=nats://operator:\$CONFAB_NATS_OPERATOR_PASSWORD@127.0.0.1:$first"
echo "  confab streams apply --topology $folder/topology.yaml"
echo "  confab region status --topology $folder/topology.yaml"

# A server that ends, such as for a port in use, ends all.
while :; do
  for pid in $pids; do
    kill -0 "$pid" 2>/dev/null || { echo "a server ended: see the logs in $folder" >&2; exit 1; }
  done
  sleep 1 &
  wait $! || true
done
