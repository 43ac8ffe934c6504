{{/* Labels of an object; takes a list of the context and the component. */}}
{{- define "clamav-sidecar.labels" -}}
{{- $root := index . 0 -}}
{{ include "clamav-sidecar.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: clamav-sidecar
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that select the pods of a component; takes the same list. */}}
{{- define "clamav-sidecar.selector" -}}
app.kubernetes.io/name: clamav-sidecar
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
{{- end }}

{{/* An image reference, with the chart's appVersion as the tag where there is
     none; takes a list of the context and the reference. */}}
{{- define "clamav-sidecar.image" -}}
{{- $image := index . 1 -}}
{{- if or (contains "@" $image) (contains ":" (last (splitList "/" $image))) -}}
{{ $image }}
{{- else -}}
{{ $image }}:{{ (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The security context of a container: Pod Security "restricted", and a root
     file system that cannot be written. */}}
{{- define "clamav-sidecar.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{/* The security context of a pod; takes the number of user and group. */}}
{{- define "clamav-sidecar.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Where and how pods of ours are to run; takes the values clamav or webhook. */}}
{{- define "clamav-sidecar.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Host name of the clamav service, for clients in any namespace. */}}
{{- define "clamav-sidecar.host" -}}
{{- if .Values.clamav.enabled -}}
clamav.{{ .Release.Namespace }}.svc
{{- else -}}
{{ required "clamav.external.host: name the clamd to use, or set clamav.enabled=true to install one" .Values.clamav.external.host }}
{{- end -}}
{{- end }}

{{- define "clamav-sidecar.port" -}}
{{ if .Values.clamav.enabled }}3310{{ else }}{{ int .Values.clamav.external.port }}{{ end }}
{{- end }}

{{/* Whether the replicas of clamd are tied to one node, by their volume. */}}
{{- define "clamav-sidecar.oneNode" -}}
{{- with .Values.clamav.persistence -}}
{{ if and (eq .mode "shared") (eq .accessMode "ReadWriteOnce") }}true{{ end }}
{{- end -}}
{{- end }}
