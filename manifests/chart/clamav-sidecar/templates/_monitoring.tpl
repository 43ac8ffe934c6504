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

{{/* Groups of alerts for what is installed and cannot be read. Only the chart knows
     what is and where, so they are not in files/rules.yaml: Prometheus alone cannot
     tell a service that never came up, or was removed, from none. Nothing, where
     Prometheus is not told to read it. Takes the context. */}}
{{- define "clamav-sidecar.absenceAlerts" -}}
{{- if .Values.monitoring.podMonitor.enabled }}
{{- if .Values.clamav.enabled }}
- name: clamav-service-absence
  rules:
    # Half an hour leaves room for the first download of the signatures, for
    # which the pods wait.
    - alert: ClamAVServiceDown
      expr: absent(clamav_sidecar_replica_up{container="metrics",namespace="{{ .Release.Namespace }}"})
      for: 30m
      labels: {severity: critical}
      annotations:
        summary: The ClamAV service is down
        description: No pod of clamd in namespace {{ .Release.Namespace }} can be read. While none runs, no file is scanned.
        runbook: docs/operating.md#no-replica
{{- end }}
{{- if .Values.webhook.enabled }}
- name: clamav-webhook-absence
  rules:
    - alert: ClamAVWebhookDown
      expr: absent(clamav_sidecar_webhook_certificate_expiry_timestamp_seconds{namespace="{{ .Release.Namespace }}"})
      for: 5m
      labels: {severity: critical}
      annotations:
        summary: The webhook is down
        description: No replica of the webhook in namespace {{ .Release.Namespace }} can be read. While none runs, new pods that ask for scanning are refused.
        runbook: docs/operating.md#webhook-down
{{- end }}
{{- end }}
{{- end }}
