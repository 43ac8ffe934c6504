{{/* Labels of an object for monitoring; takes a list of the context and of labels
     from the values, which win. */}}
{{- define "clamav-sidecar.monitoringLabels" -}}
{{- $ours := include "clamav-sidecar.labels" (list (index . 0) "monitoring") | fromYaml -}}
{{ toYaml (merge (dict) (index . 1) $ours) }}
{{- end }}

{{/* How to read the metrics of a sidecar; takes the interval. */}}
{{- define "clamav-sidecar.sidecarEndpoint" -}}
port: clamav-ops
interval: {{ . | quote }}
relabelings:
  # The operator's label of this name would take the place of the sidecars' own,
  # which says by which endpoint a scan came.
  - {action: labeldrop, regex: endpoint}
{{- end }}
