#!/usr/bin/env bash
# A real Elasticsearch node from Maven Central artifacts, loopback only. ILM, scripts and security are not published
# there, so the node lacks them.
#   elasticsearch.sh start | stop | kill | pause | resume
# Environment, with defaults:
#   ES_ROOT (~/.cache/confab-services/elasticsearch): programs  ES_RUN ($ES_ROOT): data, log and pid
#   ES_PORT (19200)  ES_TRANSPORT_PORT (ES_PORT + 100)  ES_HEAP (512m)  ES_JAVA_HOME
#   ES_SETTINGS: further lines of elasticsearch.yml  ES_KEEP_DATA=1: a start keeps existing data
# Exits with 3 when a program is missing; the last line names it.
set -euo pipefail
VERSION=9.5.3
ROOT=${ES_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/confab-services/elasticsearch}
RUN=${ES_RUN:-$ROOT}
PORT=${ES_PORT:-19200}
HEAP=${ES_HEAP:-512m}
HOME_=$ROOT/elasticsearch-$VERSION

find_jdk() {
  local d v
  for d in ${ES_JAVA_HOME:-${JAVA_HOME:-} /usr/lib/jvm/*}; do
    [ -x "$d/bin/javac" ] || continue
    v=$("$d/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
    if [ "${v%%.*}" -ge 21 ]; then echo "$d"; return; fi
  done
  echo "no JDK 21 or later to run Elasticsearch with" >&2
  exit 3
}

fetch() {
  command -v mvn >/dev/null || { echo "no Maven to fetch Elasticsearch with" >&2; exit 3; }
  rm -rf "$HOME_" "$ROOT/all"
  mkdir -p "$HOME_"/{lib/platform/linux-x64,modules/transport-netty4,plugins,config}
  cat >"$ROOT/pom.xml" <<E
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>es</groupId><artifactId>es</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.elasticsearch</groupId><artifactId>elasticsearch</artifactId><version>$VERSION</version></dependency>
<dependency><groupId>org.elasticsearch.plugin</groupId><artifactId>transport-netty4</artifactId><version>$VERSION</version></dependency>
</dependencies></project>
E
  mvn -B -q -f "$ROOT/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$ROOT/all" >&2 || { echo "Elasticsearch could not be fetched" >&2; exit 3; }
  mv "$ROOT"/all/{transport-netty4,netty-,elasticsearch-ssl-config}*.jar "$HOME_/modules/transport-netty4/"
  mv "$ROOT"/all/*.jar "$HOME_/lib/"
  cat >"$HOME_/modules/transport-netty4/plugin-descriptor.properties" <<E
description=Netty 4 based transport implementation
version=$VERSION
name=transport-netty4
classname=org.elasticsearch.transport.netty4.Netty4Plugin
java.version=21
elasticsearch.version=$VERSION
extended.plugins=
has.native.controller=false
modulename=org.elasticsearch.transport.netty4
E
  touch "$ROOT/.provisioned-$VERSION"
}

# Maven Central does not have Elastic's own launcher.
compile() {
  mkdir -p "$ROOT/launcher"
  cat >"$ROOT/launcher/Launch.java" <<'E'
import java.nio.file.*; import java.util.Map; import java.util.concurrent.*; import org.elasticsearch.common.logging.LogConfigurator; import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment; import org.elasticsearch.node.Node; import org.elasticsearch.plugins.PluginsLoader;
public class Launch { public static void main(String[] args) throws Exception {
  Path home = Paths.get(args[0]), config = Paths.get(args[1]);
  LogConfigurator.registerErrorListener(); LogConfigurator.configureESLogging();
  Settings settings = Settings.builder().loadFromPath(config.resolve("elasticsearch.yml")).put("path.home", home.toString()).build();
  Environment environment = new Environment(settings, config); LogConfigurator.setNodeName("n1"); LogConfigurator.configure(environment, true);
  Node node = new Node(environment, PluginsLoader.createPluginsLoader(PluginsLoader.loadModulesBundles(environment.modulesDir(), false), PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false), Map.of()));
  CountDownLatch over = new CountDownLatch(1);
  Runtime.getRuntime().addShutdownHook(new Thread(() -> { try { node.prepareForClose(); node.close(); node.awaitClose(20, TimeUnit.SECONDS); } catch (Exception e) { e.printStackTrace(); } over.countDown(); }));
  node.start(); over.await(); } }
E
  "$1/bin/javac" -nowarn -proc:none -cp "$HOME_/lib/*" -d "$ROOT/launcher" "$ROOT/launcher/Launch.java"
}

configure() {
  mkdir -p "$RUN"/{config,data,logs,tmp}
  cat >"$RUN/config/elasticsearch.yml" <<E
cluster.name: confab-test
node.name: n1
discovery.type: single-node
network.host: 127.0.0.1
http.port: $PORT
transport.port: ${ES_TRANSPORT_PORT:-$((PORT + 100))}
path.data: $RUN/data
path.logs: $RUN/logs
cluster.routing.allocation.disk.threshold_enabled: false
action.destructive_requires_name: false
${ES_SETTINGS:-}
E
  cat >"$RUN/config/log4j2.properties" <<'E'
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %marker%m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
E
}

alive() { [ -s "$RUN/pid" ] && grep -zqF "$RUN/config" "/proc/$(cat "$RUN/pid")/cmdline" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
healthy() {
  (exec 3<>"/dev/tcp/127.0.0.1/$PORT" && printf 'GET /_cluster/health?wait_for_status=yellow&timeout=1s HTTP/1.0\r\n\r\n' >&3 && timeout 3 head -1 <&3 | grep -q ' 200 ') 2>/dev/null
}

start() {
  local jdk
  jdk=$(find_jdk)
  mkdir -p "$ROOT" "$RUN"
  [ -e "$ROOT/.provisioned-$VERSION" ] || fetch
  [ -e "$ROOT/launcher/Launch.class" ] || compile "$jdk"
  if alive; then echo "already running: $(cat "$RUN/pid")"; return; fi
  if answers; then echo "port $PORT is taken" >&2; exit 1; fi
  [ "${ES_KEEP_DATA:-0}" = 1 ] || rm -rf "$RUN/data"
  configure
  cd "$RUN"
  setsid "$jdk/bin/java" "-Xms$HEAP" "-Xmx$HEAP" -Xss1m -XX:MaxDirectMemorySize=512m -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true "-Djava.io.tmpdir=$RUN/tmp" \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true \
    -Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false "-Des.path.home=$HOME_" -Des.distribution.type=zip -Des.java.type=ES_JAVA_HOME -Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1 \
    --enable-native-access=ALL-UNNAMED,org.elasticsearch.nativeaccess,org.elasticsearch.foreign,org.elasticsearch.simdvec,org.apache.lucene.core \
    --add-modules=jdk.net,jdk.management.agent,jdk.incubator.vector,ALL-MODULE-PATH --module-path "$HOME_/lib" -cp "$ROOT/launcher" Launch "$HOME_" "$RUN/config" >"$RUN/log" 2>&1 </dev/null &
  echo $! >"$RUN/pid"
  for _ in $(seq 240); do
    if healthy; then echo "Elasticsearch $VERSION up on http://127.0.0.1:$PORT, pid $(cat "$RUN/pid")"; return; fi
    # Before java has started, `alive` does not know the process by its command line.
    kill -0 "$(cat "$RUN/pid")" 2>/dev/null || break
    sleep 0.25
  done
  tail -30 "$RUN/log" >&2
  exit 1
}

stop() {
  if ! alive; then echo "not running"; rm -f "$RUN/pid"; return; fi
  local pid
  pid=$(cat "$RUN/pid")
  kill "$pid"
  for _ in $(seq 80); do alive || break; sleep 0.25; done
  if alive; then kill -9 "$pid"; fi
  rm -f "$RUN/pid"
  echo stopped
}

signal() { if alive; then kill "-$1" "$(cat "$RUN/pid")"; fi; }

case "${1:-}" in
  start | stop) "$1" ;;
  kill) signal KILL ;;
  pause) signal STOP ;;
  resume) signal CONT ;;
  *) sed -n '2,6p' "$0"; exit 2 ;;
esac
