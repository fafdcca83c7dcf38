#!/bin/sh
# Starts nats-servers with TLS and client certificates on this machine, on the loopback, with the files of nats/tls. For
# trying them out, not for production: a machine that fails takes all servers with it.
#
#   sh ops/nats/start.sh single|cluster|edge-site|regions|two-regions [first port (23000)] [folder (./data/nats-tls)]
#
#   single     one server                                          nats/tls/single.conf
#   cluster    three servers                                       nats/tls/cluster.conf
#   edge-site  three servers, and a leaf node beside edge nodes    nats/tls/cluster-with-sites.conf, edge-site.conf
#   regions    two regions and a witness, each with a spine        nats/tls/region.conf, spine.conf
#   two-regions                   the same without the witness
#
# It uses 40 ports from the first one on. The folder gets certificates (certs/), data, logs, ids of the processes, and
# a file for each user of NATS: ". <folder>/edge.env" sets the variables with which confab connects as edge. Only this
# user may read the folder. Ctrl-C or SIGTERM stops all servers in order. The programs confab and nats-server have to be
# in the PATH; CONFAB and NATS_SERVER name other ones.
set -eu

setup=${1:-}
first=${2:-23000}
folder=${3:-./data/nats-tls}
confab=${CONFAB:-confab}
server=${NATS_SERVER:-nats-server}
conf=$(cd "$(dirname "$0")/../../nats/tls" && pwd)

case $setup in
  single) config=single servers="1" ;;
  cluster) config=cluster servers="1 2 3" ;;
  edge-site) config=cluster-with-sites servers="1 2 3" ;;
  regions) config=region servers="1 2 3" ;;
  two-regions) config=region servers="1 2" ;;
  *) echo "usage: sh ops/nats/start.sh single|cluster|edge-site|regions|two-regions [first port] [folder]" >&2; exit 2 ;;
esac
for program in "$confab" "$server"; do
  command -v "$program" >/dev/null || { echo "$program does not exist: set CONFAB or NATS_SERVER" >&2; exit 1; }
done
umask 077
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# nats-server looks for the folder certs here.
cd "$folder"
[ -f certs/ca.pem ] || "$confab" certs certs --name localhost 127.0.0.1 > certs.log 2>&1 || { cat certs.log >&2; exit 1; }

# Ports of the server with this number: 0 clients, 1 routes, 2 leaf nodes; of its spine: 1 routes, 2 leaf nodes, 3
# clients (none).
port() { echo $((first + ($1 - 1) * 10 + $2)); }
# Addresses of all servers, each with this scheme and kind of port, and this separator.
addresses() {
  all=""
  for n in $servers; do all="$all${all:+$3}$1://127.0.0.1:$(port "$n" "$2")"; done
  echo "$all"
}

# How confab connects: the servers (of several regions, region a), the user's prefix of inboxes, and its certificate.
urls=$(addresses tls 0 ,)
[ $config != region ] || urls=tls://127.0.0.1:$(port 1 0)
for user in edge commands projections several-roles operator analyst; do
  inbox=$(echo "$user" | tr a-z A-Z)
  # The user of processes with several roles, as in nats/users.conf.
  [ "$user" != several-roles ] || inbox=SERVER
  cat > "$user.env" <<EOF
export CONFAB_NATS=$urls
export CONFAB_NATS_INBOX_PREFIX=_INBOX_$inbox
export CONFAB_NATS_TLS_CA=$folder/certs/ca.pem
export CONFAB_NATS_TLS_CERT=$folder/certs/$user.pem
export CONFAB_NATS_TLS_KEY=$folder/certs/$user-key.pem
EOF
done

pids=""
stop() {
  trap - INT TERM EXIT
  [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || true
  wait
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

# Starts a server. Arguments: name, configuration, port of clients.
start() {
  CONFAB_NATS_NAME=$1 CONFAB_NATS_LISTEN=127.0.0.1:$3 "$server" -c "$conf/$2.conf" -l "$folder/$1.log" &
  pids="$pids $!"
  echo $! > "$1.pid"
}

export CONFAB_NATS_ROUTES="[\"$(addresses tls 1 '", "')\"]"
for n in $servers; do
  export CONFAB_NATS_CLUSTER_LISTEN=127.0.0.1:$(port $n 1) CONFAB_NATS_LEAF_LISTEN=127.0.0.1:$(port $n 2)
  export CONFAB_NATS_STORE=data/n$n
  if [ $config = region ]; then
    region=$(echo "$n" | tr 123 abc)
    start "spine-$region" spine "$(port $n 3)"
    export CONFAB_NATS_DOMAIN=$region CONFAB_NATS_SPINE="[\"tls://127.0.0.1:$(port $n 2)\"]"
    start "$region" region "$(port $n 0)"
  else
    start "n$n" $config "$(port $n 0)"
  fi
done
if [ $config = region ]; then
  {
    echo "regions:"
    echo "  a: {domain: a, urls: [\"tls://127.0.0.1:$(port 1 0)\"]}"
    echo "  b: {domain: b, urls: [\"tls://127.0.0.1:$(port 2 0)\"]}"
    [ $setup = two-regions ] || echo "  c: {domain: c, urls: [\"tls://127.0.0.1:$(port 3 0)\"], witness: true}"
    echo "streams:"
    echo "  conv: {home: a, mirrors: [b]}"
    echo "  user: {home: a, mirrors: [b]}"
  } > topology.yaml
fi
if [ $setup = edge-site ]; then
  site=$(port 4 0)
  [ -f site.password ] || echo "p$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" > site.password
  export CONFAB_NATS_EDGE_PASSWORD=$(cat site.password)
  cat > site.env <<EOF
# Of an edge process beside the leaf node.
export CONFAB_NATS=nats://edge:$CONFAB_NATS_EDGE_PASSWORD@127.0.0.1:$site
export CONFAB_NATS_INBOX_PREFIX=_INBOX_EDGE
EOF
  export CONFAB_NATS_HUB="[\"$(addresses tls 2 '", "')\"]"
  start site edge-site "$site"
fi

echo "$setup: servers on ports from $first on, in $folder. In another terminal:"
echo "  . $folder/operator.env"
case $setup in
  single) echo "  confab streams apply" ;;
  *regions) echo "  confab streams apply --topology $folder/topology.yaml" ;;
  *) echo "  confab streams apply --replicas 3" ;;
esac
[ $config = region ] && echo "  confab region status --topology $folder/topology.yaml" || {
  echo "  . $folder/several-roles.env   # or $(ls *.env | grep -v -e operator -e several | tr '\n' ' ')"
  echo "  confab serve --dev"
}

# The others continue without a server that ends, such as for a port in use.
while [ -n "$pids" ]; do
  running=""
  for pid in $pids; do
    if kill -0 "$pid" 2>/dev/null; then running="$running $pid"
    else echo "$(basename "$(grep -lx "$pid" ./*.pid)" .pid) ended: see the logs in $folder" >&2
    fi
  done
  pids=$running
  sleep 1 &
  wait $! || true
done
exit 1
