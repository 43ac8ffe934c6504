{{/* What clamd and freshclam read. */}}

{{- define "clamav-sidecar.clamdConf" -}}
{{ include "clamav-sidecar.clamdConfSet" . }}
{{- with .Values.clamav.extraConfig }}
# clamav.extraConfig
{{ trim . }}
{{- end }}
# Last, since of two lines for an option the first counts: clamav.extraConfig may
# have other ones.
LogTime yes
LogClean no
LogSyslog no
LogVerbose no
{{- end }}

{{/* What the chart itself sets of it. */}}
{{- define "clamav-sidecar.clamdConfSet" -}}
{{- $limits := .Values.clamav.limits -}}
# Kept by the Helm chart: set clamav.limits, clamav.selfCheck and
# clamav.extraConfig instead of changing it here.
Foreground yes
DatabaseDirectory /var/lib/clamav
TemporaryDirectory /tmp
TCPSocket 3310
# Seconds between two looks for new signatures.
SelfCheck {{ int .Values.clamav.selfCheck }}
MaxThreads {{ int $limits.maxThreads }}
MaxConnectionQueueLength {{ int $limits.connectionQueueLength }}
# Files that wait for a thread or are in one. Beyond these clamd answers nobody.
MaxQueue {{ int $limits.queue }}
SendBufTimeout {{ int $limits.sendBufTimeout }}
MaxScanSize {{ int $limits.scanSize }}M
# clamd cuts a file within a zip off at MaxFileSize, and does not tell (seen with
# 1.4.6). As large as MaxScanSize it is never reached: that one does tell.
MaxFileSize {{ int $limits.scanSize }}M
# Above these, too, clamd passes over a part of what signatures look at, and does
# not tell (seen with 1.4.6).
MaxEmbeddedPE {{ int $limits.scanSize }}M
MaxHTMLNormalize {{ int $limits.scanSize }}M
MaxHTMLNoTags {{ int $limits.scanSize }}M
MaxScriptNormalize {{ int $limits.scanSize }}M
PCREMaxFileSize {{ int $limits.scanSize }}M
# Above MaxFileSize clamd would say OK without a look.
StreamMaxLength {{ int $limits.fileSize }}M
# Without these clamd says OK to what is over a limit or encrypted.
AlertExceedsMax yes
AlertEncrypted yes
{{- end }}

{{/* For what runs beside clamd in its pod. */}}
{{- define "clamav-sidecar.localConf" -}}
TCPSocket 3310
TCPAddr 127.0.0.1
StreamMaxLength {{ int .Values.clamav.limits.fileSize }}M
{{- end }}

{{- define "clamav-sidecar.freshclamConf" -}}
{{ include "clamav-sidecar.freshclamConfSet" . }}
{{- with .Values.clamav.extraFreshclamConfig }}
# clamav.extraFreshclamConfig
{{ trim . }}
{{- end }}
LogTime yes
LogSyslog no
LogVerbose no
{{- end }}

{{/* What the chart itself sets of it. */}}
{{- define "clamav-sidecar.freshclamConfSet" -}}
# Kept by the Helm chart: set clamav.freshclamCheck, clamav.mirror,
# clamav.customDatabaseURLs and clamav.extraFreshclamConfig instead of changing
# it here.
Foreground yes
DatabaseDirectory /var/lib/clamav
# Only looked at by root, which freshclam does not run as here.
DatabaseOwner clamav
# A day.
Checks {{ int .Values.clamav.freshclamCheck }}
# One replica is told of new signatures, the others see them at their SelfCheck:
# so not all of them load at the same moment.
NotifyClamd {{ eq .Values.clamav.persistence.mode "shared" | ternary "/etc/clamav-client/clamd.conf" "/etc/clamav/local.conf" }}
{{- range compact (kindIs "slice" .Values.clamav.mirror | ternary .Values.clamav.mirror (list .Values.clamav.mirror)) }}
PrivateMirror {{ if not (contains "://" .) }}https://{{ end }}{{ trimSuffix "/" . }}
{{- else }}
{{- if .Values.clamav.officialDatabases }}
DatabaseMirror database.clamav.net
{{- else }}
# Nothing is fetched from here. A mirror of one's own keeps freshclam from asking
# DNS about official databases, and it does not start without any.
PrivateMirror http://localhost
{{- end }}
{{- end }}
{{- range list "main" "daily" "bytecode" }}
{{- if not (has . $.Values.clamav.officialDatabases) }}
ExcludeDatabase {{ . }}
{{- end }}
{{- end }}
{{- range .Values.clamav.customDatabaseURLs }}
DatabaseCustomURL {{ . }}
{{- end }}
{{- end }}

{{/* Changes with all that freshclam's container reads. */}}
{{- define "clamav-sidecar.freshclamChecksum" -}}
{{ print (include "clamav-sidecar.freshclamConf" .) .Values.clamav.alertUnreadable (.Files.Get "files/unscannable.cdb") (.Files.Get "files/unscannable.ndb") | sha256sum }}
{{- end }}

{{/* The databases that must be on the volume before clamd starts, as arguments
     of signatures.sh: with only some of them it would call clean what it does not
     know yet. */}}
{{- define "clamav-sidecar.databases" -}}
{{- $names := .Values.clamav.officialDatabases -}}
{{- range .Values.clamav.customDatabaseURLs -}}
{{- $names = append $names (base .) -}}
{{- end -}}
{{- if .Values.clamav.alertUnreadable -}}
{{- $names = concat $names (list "unscannable.cdb" "unscannable.ndb") -}}
{{- end -}}
{{ $names | toJson }}
{{- end }}

{{/* A clamd.conf for clients, to the byte as package webhook/clientconfig/render
     writes it; takes a list of the server, its host and port, and its limit. */}}
{{- define "clamav-sidecar.clientConf" -}}
# Where clients such as clamdscan find {{ index . 0 }}.
#
# clamav-sidecar keeps this ConfigMap: what is changed here is changed back.
# To have a clamd.conf of your own, first take off the ConfigMap's label
# clamav-sidecar/client-configuration, then change it; or name another
# ConfigMap in the annotation clamav-sidecar/config-map.
TCPSocket {{ index . 2 }}
TCPAddr {{ index . 1 }}
# {{ index . 3 }}
# This has to be more, for clamdscan cuts off what is longer than this, and
# calls a file OK of which it has sent a part.
StreamMaxLength 4095M
# And without these it calls a symbolic link OK and does not look behind it.
FollowFileSymlinks yes
FollowDirectorySymlinks yes
{{- end }}

{{/* The webhook's configuration file (docs/webhook.md). */}}
{{- define "clamav-sidecar.webhookConfig" -}}
{{- $sidecar := .Values.sidecar -}}
{{- $resources := $sidecar.resources -}}
clamd:
  host: {{ include "clamav-sidecar.host" . | quote }}
  port: {{ include "clamav-sidecar.port" . }}
  maxFileSize: {{ int .Values.clamav.limits.fileSize }}M
configMap:
  name: {{ .Values.webhook.configMap.name | quote }}
  manage: {{ .Values.webhook.configMap.manage }}
sidecar:
  image: {{ include "clamav-sidecar.image" (list . $sidecar.image) | quote }}
  image-pull-policy: {{ $sidecar.imagePullPolicy }}
  mode: {{ $sidecar.mode }}
  clamdscan: {{ $sidecar.clamdscan }}
  {{- with $sidecar.maxFileSize }}
  max-file-size: {{ . | quote }}
  {{- end }}
  scan-timeout: {{ $sidecar.scanTimeout | quote }}
  log-level: {{ $sidecar.logLevel }}
  require-scanner: {{ $sidecar.requireScanner }}
  http-port: {{ int $sidecar.httpPort }}
  clamd-port: {{ int $sidecar.clamdPort }}
  ops-port: {{ int $sidecar.opsPort }}
  cpu-request: {{ $resources.requests.cpu | quote }}
  cpu-limit: {{ $resources.limits.cpu | quote }}
  memory-request: {{ $resources.requests.memory | quote }}
  memory-limit: {{ $resources.limits.memory | quote }}
{{- end }}
