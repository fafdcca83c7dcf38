#!/usr/bin/env bash
# A real Apache Cassandra from Maven artifacts, loopback only.
#   cassandra.sh start [N] | stop [N] | pid N | nodetool N ARG..
# Node N (1 to 6, default 1) listens on 127.0.0.N. Node 1 is the seed. `stop` without N stops all nodes, the last first.
# Environment, with defaults:
#   CASSANDRA_ROOT (~/.cache/confab-services/cassandra)  CASSANDRA_DATA ($CASSANDRA_ROOT/data)
#   CASSANDRA_CQL_PORT (19042)  CASSANDRA_STORAGE_PORT (17000)  CASSANDRA_HEAP (512M)  CASSANDRA_JAVA_HOME (a JDK 17)
#   CASSANDRA_COMMITLOG (periodic; with batch, acked writes survive kill -9)
#   CASSANDRA_AUTH (1: passwords, cassandra/cassandra)  CASSANDRA_JMX (1: nodetool works)
# Exits with 3 when a program is missing; the last line names it.
set -euo pipefail
ROOT=${CASSANDRA_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/confab-services/cassandra}
DATA=${CASSANDRA_DATA:-$ROOT/data}
VERSION=${CASSANDRA_VERSION:-5.0.9}
JHOME=${CASSANDRA_JAVA_HOME:-$(ls -d /usr/lib/jvm/*17* 2>/dev/null | head -1)}
CQL_PORT=${CASSANDRA_CQL_PORT:-19042}
STORAGE_PORT=${CASSANDRA_STORAGE_PORT:-17000}
COMMITLOG=${CASSANDRA_COMMITLOG:-periodic}
LIB=$ROOT/lib-$VERSION
# One token per node: nodes 1 to 3 divide the ring into thirds, nodes 4 to 6 lie between them.
TOKENS=([1]=-9223372036854775808 [2]=-3074457345618258603 [3]=3074457345618258602
        [4]=-6148914691236517205 [5]=0 [6]=6148914691236517204)
# The packages that conf/jvm17-server.options of version 5.0 opens.
OPENS=(-Djdk.attach.allowAttachSelf=true -Dio.netty.tryReflectionSetAccessible=true)
for package in java.base/jdk.internal.{misc,ref} java.base/sun.nio.ch java.management.rmi/com.sun.jmx.remote.internal.rmi \
  java.rmi/sun.rmi.{registry,server} java.sql/java.sql jdk.unsupported/sun.misc jdk.compiler/com.sun.tools.javac.file; do
  OPENS+=(--add-exports "$package=ALL-UNNAMED")
done
for package in java.base/java.{lang,lang.module,lang.reflect,util,nio,io} java.base/jdk.internal.{loader,ref,reflect,math,module} \
  java.base/jdk.internal.util.jar java.base/sun.nio.ch jdk.management/com.sun.management.internal jdk.compiler/com.sun.tools.javac; do
  OPENS+=(--add-opens "$package=ALL-UNNAMED")
done

fail() { echo "$1" >&2; exit "${2:-1}"; }
folder() { [[ $1 =~ ^[1-6]$ ]] || fail "a node is 1 to 6, not '$1'"; echo "$DATA/node$1"; }

# Prints the pid of node N, if this script started the process and it is alive.
pid() {
  local f p; f=$(folder "$1")
  [[ -s $f/pid ]] || return 1
  p=$(<"$f/pid")
  grep -zqxF -- "-Dcassandra.storagedir=$f" "/proc/$p/cmdline" 2>/dev/null || return 1
  echo "$p"
}

listens() { (exec 3<>"/dev/tcp/$1/$CQL_PORT") 2>/dev/null; }

# Whether 127.0.0.N answers CQL. Protocol 4: a node answers OPTIONS with SUPPORTED, without a login.
answers() (
  exec 2>/dev/null 3<>"/dev/tcp/127.0.0.$1/$CQL_PORT" || exit 1
  printf '\x04\x00\x00\x00\x05\x00\x00\x00\x00' >&3
  header=$(timeout 5 head -c 9 <&3 | od -An -v -tx1 | tr -d ' \n')
  [[ ${header:8:2} == 06 ]]
)

provision() {
  [[ ! -f $LIB/.complete ]] || return 0
  command -v mvn >/dev/null || fail "no Maven to fetch Cassandra with" 3
  local w=$ROOT/provision; rm -rf "$w" "$LIB.tmp"; mkdir -p "$w"
  cat >"$w/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>cassandra-server</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>$VERSION</version></dependency>
  </dependencies>
</project>
EOF
  JAVA_HOME=$JHOME mvn -B -ntp -q -f "$w/pom.xml" -Dmaven.repo.local="${CASSANDRA_M2:-$ROOT/m2}" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$LIB.tmp" \
    -DexcludeClassifiers=osx-x86_64,osx-aarch_64,windows-x86_64,linux-riscv64 >"$w/log" 2>&1 ||
    { tail -5 "$w/log" >&2; fail "Cassandra could not be fetched with Maven" 3; }
  rm -rf "$LIB"; mv "$LIB.tmp" "$LIB"; touch "$LIB/.complete"
}

configure() {
  local n=$1 d=$2; mkdir -p "$d/conf" "$d/tmp"
  cat >"$d/conf/cassandra.yaml" <<EOF
cluster_name: confab-test
num_tokens: 1
initial_token: ${TOKENS[$n]}
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: GossipingPropertyFileSnitch
seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: "127.0.0.1:$STORAGE_PORT"}]}]
listen_address: 127.0.0.$n
rpc_address: 127.0.0.$n
native_transport_port: $CQL_PORT
storage_port: $STORAGE_PORT
ssl_storage_port: $((STORAGE_PORT + 1))
data_file_directories: [$d/data]
commitlog_directory: $d/commitlog
saved_caches_directory: $d/saved_caches
hints_directory: $d/hints
cdc_raw_directory: $d/cdc_raw
commitlog_sync: $COMMITLOG
$([[ $COMMITLOG != periodic ]] || echo 'commitlog_sync_period: 10000ms')
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
commitlog_disk_access_mode: legacy
auto_snapshot: false
$([[ ${CASSANDRA_AUTH:-0} != 1 ]] || printf 'authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\n')
# Settings for a heap of 512 MB and two cores. A busy machine exceeds the default timeouts.
memtable_heap_space: 96MiB
memtable_offheap_space: 64MiB
concurrent_reads: 16
concurrent_writes: 16
concurrent_compactors: 1
key_cache_size: 8MiB
counter_cache_size: 2MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
read_request_timeout: 10s
range_request_timeout: 20s
write_request_timeout: 10s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
EOF
  printf 'dc=%s\nrack=rack1\n' "${CASSANDRA_DC:-datacenter1}" >"$d/conf/cassandra-rackdc.properties"
  echo '<configuration><appender name="OUT" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%-5level %date{ISO8601} %F:%L - %msg%n</pattern></encoder></appender><root level="INFO"><appender-ref ref="OUT"/></root></configuration>' \
    >"$d/conf/logback.xml"
}

start() {
  local n=${1:-1} d cp pre=() jmx=()
  d=$(folder "$n")
  [[ -x $JHOME/bin/java ]] || fail "no JDK 17 to run Cassandra with" 3
  provision
  if pid "$n" >/dev/null; then
    for _ in $(seq 300); do ! answers "$n" || { echo "already running: $(pid "$n")"; return; }; sleep 0.2; done
    fail "node $n runs and does not answer"
  fi
  ! listens "127.0.0.$n" || fail "port $CQL_PORT of 127.0.0.$n is taken"
  configure "$n" "$d"
  cp=$(printf '%s:' "$LIB"/*.jar)
  # A process of root would lock its memory, which takes 350 MiB more.
  [[ $(id -u) != 0 ]] || ! command -v setpriv >/dev/null || pre=(setpriv --inh-caps=-ipc_lock --bounding-set=-ipc_lock)
  [[ ${CASSANDRA_JMX:-0} != 1 ]] || jmx=(-Dcassandra.jmx.local.port=$((STORAGE_PORT + 198 + n))
    -Dcom.sun.management.jmxremote.authenticate=false -Djava.rmi.server.hostname=127.0.0.1)
  # C1 only: it is faster on two cores for a node that runs for minutes. No ring delay of 30 s, no wait for gossip.
  (cd "$d"; MALLOC_ARENA_MAX=4 exec setsid "${pre[@]}" "$JHOME/bin/java" -javaagent:"$(ls "$LIB"/jamm-*.jar)" \
    -Xms128M -Xmx"${CASSANDRA_HEAP:-512M}" -Xss256k -XX:+UseG1GC -XX:MaxGCPauseMillis=300 -XX:MaxDirectMemorySize=256M \
    -XX:+ExitOnOutOfMemoryError -XX:+PerfDisableSharedMem -XX:TieredStopAtLevel=1 \
    -Djava.net.preferIPv4Stack=true -Djava.io.tmpdir="$d/tmp" -Djna.tmpdir="$d/tmp" -Dfile.encoding=UTF-8 "${OPENS[@]}" "${jmx[@]}" \
    -Dcassandra-foreground=yes -Dcassandra.config="file://$d/conf/cassandra.yaml" \
    -Dcassandra-rackdc.properties="file://$d/conf/cassandra-rackdc.properties" -Dcassandra.storagedir="$d" -Dcassandra.logdir="$d/logs" \
    -Dlogback.configurationFile="$d/conf/logback.xml" -Dcassandra.ring_delay_ms=6000 -Dcassandra.skip_wait_for_gossip_to_settle=0 \
    -Dcassandra.superuser_setup_delay_ms=0 -cp "${cp%:}" org.apache.cassandra.service.CassandraDaemon </dev/null >"$d/log" 2>&1) &
  local p=$!
  echo "$p" >"$d/pid"; disown
  for _ in $(seq 900); do
    sleep 0.2
    kill -0 "$p" 2>/dev/null || { tail -30 "$d/log" >&2; fail "node $n ended while it started ($d/log)"; }
    # A node accepts clients after it has joined the ring.
    ! answers "$n" || { echo "node $n up: 127.0.0.$n:$CQL_PORT, pid $p"; return; }
  done
  tail -30 "$d/log" >&2; fail "node $n did not answer within 180 s"
}

stop() {
  local n p
  if [[ -z ${1:-} ]]; then for n in 6 5 4 3 2 1; do stop "$n"; done; return; fi
  if p=$(pid "$1"); then
    kill "$p"
    for _ in $(seq 300); do kill -0 "$p" 2>/dev/null || break; sleep 0.2; done
    ! kill -0 "$p" 2>/dev/null || kill -KILL "$p"
    echo "node $1 stopped"
  fi
  rm -f "$(folder "$1")/pid"
}

nodetool() {
  local n=$1 d; shift; d=$(folder "$n")
  "$JHOME/bin/java" -cp "$(printf '%s:' "$LIB"/*.jar)" -Xmx128m -XX:TieredStopAtLevel=1 "${OPENS[@]}" -Duser.home="$d/tmp" \
    -Dlogback.configurationFile="$d/conf/logback.xml" -Dcassandra.config="file://$d/conf/cassandra.yaml" -Dcassandra.storagedir="$d" \
    org.apache.cassandra.tools.NodeTool -h 127.0.0.1 -p $((STORAGE_PORT + 198 + n)) "$@"
}

case "${1:-}" in start | stop | pid | nodetool) "$@" ;; *) sed -n '2,8p' "$0"; exit 2 ;; esac
