{{- define "confab.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of all objects. Short enough for the suffixes "-projections" and "-metrics". */}}
{{- define "confab.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "confab.name" . -}}
{{- contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "confab.selector" -}}
app.kubernetes.io/name: {{ include "confab.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "confab.labels" -}}
{{ include "confab.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "confab.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "confab.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Image of a role: (dict "root" $ "role" .Values.edge). A tag of the role replaces the digest of all roles. */}}
{{- define "confab.image" -}}
{{- $all := .root.Values.image -}}
{{- $own := default dict .role.image -}}
{{- $tag := default (default .root.Chart.AppVersion $all.tag) $own.tag -}}
{{- $digest := default (ternary "" $all.digest (not (empty $own.tag))) $own.digest -}}
{{- $all.repository }}{{ if $digest }}@{{ $digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end -}}

{{/* A duration of confab ("1.5m") in seconds, rounded up. */}}
{{- define "confab.seconds" -}}
{{- $number := regexFind "^[0-9.]+" (toString .) | float64 -}}
{{- $unit := regexFind "[a-z]+$" (toString .) -}}
{{- $factor := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0) $unit -}}
{{- ceil (mulf $number $factor) | int -}}
{{- end -}}

{{/* The bound of a whole stop in seconds: stopTimeout, else 30 s, or drain + 20 s where that is longer. */}}
{{- define "confab.stopSeconds" -}}
{{- $config := .Values.config -}}
{{- if $config.stopTimeout -}}
{{- include "confab.seconds" $config.stopTimeout -}}
{{- else -}}
{{- max 30 (add 20 (include "confab.seconds" (default "10s" $config.drain) | int)) -}}
{{- end -}}
{{- end -}}

{{/* confab.yaml of all pods. */}}
{{- define "confab.config" -}}
{{- $own := dict "host" .Values.listenAddress "port" 8080 "admin" (dict "host" .Values.listenAddress "port" 9080) -}}
{{- if .Values.edge.grpc -}}
{{- $_ := set $own "grpc" (dict "port" 9090) -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{/* Secrets of a role by variable, as JSON: (dict "root" $ "role" .Values.edge). */}}
{{- define "confab.secrets" -}}
{{- mustMergeOverwrite (deepCopy .root.Values.secrets) (default dict .role.secrets) | toJson -}}
{{- end -}}

{{/* Variables of a container: (dict "root" $ "role" .Values.edge "roles" "edge" "host" ""). */}}
{{- define "confab.env" -}}
- name: CONFAB_CONFIG
  value: /etc/confab/confab.yaml
- name: CONFAB_DATA
  value: /var/lib/confab/data
{{- with .roles }}
- name: CONFAB_ROLES
  value: {{ . }}
{{- end }}
{{- with .host }}
- name: CONFAB_HOST
  value: {{ . | quote }}
{{- end }}
{{- range $variable, $from := include "confab.secrets" . | fromJson }}
{{- if hasPrefix "CONFAB_" $variable }}
- name: {{ $variable }}_FILE
  value: /run/secrets/confab/{{ $variable }}
{{- else }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.name }}
      key: {{ $from.key }}
{{- end }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- with .role.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whether a role has secrets that its pods receive as files. */}}
{{- define "confab.hasSecretFiles" -}}
{{- range $variable, $_ := include "confab.secrets" . | fromJson }}{{ if hasPrefix "CONFAB_" $variable }}1{{ end }}{{ end -}}
{{- end -}}

{{/* Volumes of a pod: (dict "root" $ "role" .Values.edge "config" NAME). */}}
{{- define "confab.volumes" -}}
- name: config
  configMap:
    name: {{ .config }}
- name: data
  emptyDir:
    sizeLimit: 1Gi
- name: tmp
  emptyDir:
    sizeLimit: {{ default "1Gi" .tmpSize }}
{{- if include "confab.hasSecretFiles" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $variable, $from := include "confab.secrets" . | fromJson }}
      {{- if hasPrefix "CONFAB_" $variable }}
      - secret:
          name: {{ $from.name }}
          items:
            - key: {{ $from.key }}
              path: {{ $variable }}
      {{- end }}
      {{- end }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "confab.volumeMounts" -}}
- name: config
  mountPath: /etc/confab
  readOnly: true
- name: data
  mountPath: /var/lib/confab
- name: tmp
  mountPath: /tmp
{{- if include "confab.hasSecretFiles" . }}
- name: secrets
  mountPath: /run/secrets/confab
  readOnly: true
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The user "node" of the image. */}}
{{- define "confab.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "confab.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Refuses values that lead to pods which cannot work. */}}
{{- define "confab.check" -}}
{{- $config := .Values.config -}}
{{- $given := dict -}}
{{- range $role := list "edge" "commands" "projections" "migrate" "backup" -}}
{{- $_ := set $given $role (include "confab.secrets" (dict "root" $ "role" (get $.Values $role)) | fromJson) -}}
{{- end -}}
{{- range $need := list
  (dict "key" "nats.servers" "variable" "CONFAB_NATS" "value" (dig "nats" "servers" "" $config))
  (dict "key" "cassandra.contactPoints" "value" (dig "cassandra" "contactPoints" "" $config))
  (dict "key" "elasticsearch.nodes" "variable" "CONFAB_ELASTICSEARCH" "value" (dig "elasticsearch" "nodes" "" $config))
  (dict "key" "s3.bucket" "value" (dig "s3" "bucket" "" $config)) -}}
{{- if empty $need.value -}}
{{- range $role, $secrets := $given -}}
{{- if not (hasKey $secrets (default "" $need.variable)) -}}
{{- fail (printf "config.%s is not set: pods share no data folder, so the %s need servers that all of them reach" $need.key (hasPrefix "nats" $need.key | ternary "log" "views and media")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (or (hasKey $given.edge "CONFAB_JWT_SECRET") (hasKey $given.edge "CONFAB_JWKS") (dig "jwt" "jwks" "" $config)) -}}
{{- fail "edge nodes have no key to verify tokens: set config.jwt.jwks, or secrets.CONFAB_JWT_SECRET to a key of an existing Secret" -}}
{{- end -}}
{{- if and .Values.backup.enabled (not (hasPrefix "s3://" (dig "backup" "place" "" $config))) -}}
{{- fail "backup.enabled: set config.backup.place to s3://bucket/prefix, because the folder of a pod is lost with it" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (empty .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty: an Ingress needs host names" -}}
{{- end -}}
{{- end -}}
