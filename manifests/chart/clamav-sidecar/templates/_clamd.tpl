{{/* The spec of a pod with clamd, for the Deployment and for the StatefulSet. */}}
{{- define "clamav-sidecar.clamdPod" -}}
{{- $clamav := .Values.clamav -}}
{{- $shared := eq $clamav.persistence.mode "shared" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ int $clamav.terminationGracePeriodSeconds }}
securityContext:
  {{- include "clamav-sidecar.podSecurity" $clamav.runAsUser | nindent 2 }}
  fsGroup: {{ int $clamav.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch
{{- include "clamav-sidecar.clamavPlacement" . | trim | nindent 0 }}
initContainers:
  # clamd is not started with a part of the signatures.
  - name: signatures
    {{- include "clamav-sidecar.clamavContainer" . | nindent 4 }}
    command:
      - sh
      - /etc/clamav/signatures.sh
      - {{ $shared | ternary "wait" "fetch" }}
      {{- range include "clamav-sidecar.databases" . | fromJsonArray }}
      - {{ . | quote }}
      {{- end }}
    resources: {{- toYaml $clamav.freshclamResources | nindent 6 }}
    volumeMounts:
      {{- include "clamav-sidecar.clamavMounts" $shared | nindent 6 }}
containers:
  - name: clamd
    {{- include "clamav-sidecar.clamavContainer" . | nindent 4 }}
    # What a clamd that was killed has left in its temporary directory would fill it.
    command:
      - sh
      - -c
      - rm -rf /tmp/clamav-* /tmp/*-scantemp.*; exec clamd --foreground --config-file=/etc/clamav/clamd.conf
    ports:
      - {name: clamd, containerPort: 3310, protocol: TCP}
    # clamd opens its port when it has loaded the signatures.
    startupProbe:
      tcpSocket: {port: clamd}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 180
    readinessProbe:
      tcpSocket: {port: clamd}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 3
    # Asks clamd itself. One that is busy or loads signatures may answer nobody for
    # long; it is left alone as long as it works.
    livenessProbe:
      exec:
        command: [sh, /etc/clamav/alive.sh]
      periodSeconds: 30
      timeoutSeconds: 25
      failureThreshold: 10
    lifecycle:
      # clamd drops running scans when it is told to end. Clients learn from DNS
      # that this replica is going, and what it has is scanned first.
      preStop:
        exec:
          command: [sh, /etc/clamav/drain.sh]
    resources: {{- toYaml $clamav.resources | nindent 6 }}
    volumeMounts:
      {{- include "clamav-sidecar.clamavMounts" true | nindent 6 }}
  {{- if not $shared }}
  {{- include "clamav-sidecar.freshclamContainer" . | nindent 2 }}
  {{- end }}
  # Tells Prometheus how this clamd does. Nothing is scanned through it.
  - name: metrics
    image: {{ include "clamav-sidecar.image" (list . .Values.sidecar.image) | quote }}
    imagePullPolicy: {{ .Values.sidecar.imagePullPolicy }}
    args: [--clamd-conf=/etc/clamav/local.conf, "--listen=127.0.0.1:3311", --clamd-listen=, "--ops-listen=:3312"]
    ports:
      - {name: clamav-ops, containerPort: 3312, protocol: TCP}
    livenessProbe:
      httpGet: {path: /livez, port: clamav-ops}
      periodSeconds: 10
      timeoutSeconds: 3
    resources: {{- toYaml .Values.sidecar.resources | nindent 6 }}
    securityContext: {{- include "clamav-sidecar.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: configuration, mountPath: /etc/clamav, readOnly: true}
volumes:
  {{- include "clamav-sidecar.clamavVolumes" . | nindent 2 }}
{{- end }}

{{/* The container with freshclam. */}}
{{- define "clamav-sidecar.freshclamContainer" -}}
- name: freshclam
  {{- include "clamav-sidecar.clamavContainer" . | nindent 2 }}
  command: [sh, /etc/clamav/signatures.sh, update]
  resources: {{- toYaml .Values.clamav.freshclamResources | nindent 4 }}
  volumeMounts:
    {{- include "clamav-sidecar.clamavMounts" false | nindent 4 }}
    {{- if eq .Values.clamav.persistence.mode "shared" }}
    - {name: client-configuration, mountPath: /etc/clamav-client, readOnly: true}
    {{- end }}
{{- end }}

{{/* What all containers with ClamAV's programs have. */}}
{{- define "clamav-sidecar.clamavContainer" -}}
image: {{ include "clamav-sidecar.image" (list . .Values.clamav.image) | quote }}
imagePullPolicy: {{ .Values.clamav.imagePullPolicy }}
securityContext: {{- include "clamav-sidecar.containerSecurity" . | nindent 2 }}
{{- end }}

{{/* Their mounts; takes whether they only read the signatures. */}}
{{- define "clamav-sidecar.clamavMounts" -}}
- {name: configuration, mountPath: /etc/clamav, readOnly: true}
- {name: signatures, mountPath: /var/lib/clamav, readOnly: {{ . }}}
- {name: temporary, mountPath: /tmp}
{{- end }}

{{/* Volumes of pods with ClamAV's programs. A StatefulSet has those with
     signatures in its volumeClaimTemplates. */}}
{{- define "clamav-sidecar.clamavVolumes" -}}
- name: configuration
  configMap: {name: clamav-server-configuration}
- name: temporary
  emptyDir: {sizeLimit: {{ .Values.clamav.temporaryDirectorySize }}}
{{- with .Values.clamav.persistence }}
{{- if eq .mode "shared" }}
- name: signatures
  persistentVolumeClaim: {claimName: {{ default "clamav-signatures" .existingClaim | quote }}}
{{- else if eq .mode "emptyDir" }}
- name: signatures
  emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Where pods with ClamAV's programs run: with a volume that only one node can
     mount all on the same one, else spread. */}}
{{- define "clamav-sidecar.clamavPlacement" -}}
{{- include "clamav-sidecar.placement" .Values.clamav }}
{{- if include "clamav-sidecar.oneNode" . }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "clamav-sidecar.signaturesLabel" . | nindent 12 }}
{{- else }}
topologySpreadConstraints:
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "clamav-sidecar.selector" (list . "clamd") | nindent 8 }}
{{- end }}
{{- end }}

{{/* The label of all pods that one volume ties to one node, and of no others:
     those of another mode, which an upgrade replaces, may be anywhere. */}}
{{- define "clamav-sidecar.signaturesLabel" -}}
{{- if include "clamav-sidecar.oneNode" . -}}
clamav-sidecar/signatures: {{ .Release.Name | quote }}
{{- end -}}
{{- end }}

{{/* Labels and annotations of clamd's pods, which a changed clamd.conf rolls. */}}
{{- define "clamav-sidecar.clamdMetadata" -}}
labels:
  {{- include "clamav-sidecar.selector" (list . "clamd") | nindent 2 }}
  {{- with include "clamav-sidecar.signaturesLabel" . }}
  {{- . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: clamd
  checksum/configuration: {{ include "clamav-sidecar.clamdConf" . | sha256sum }}
  {{- if ne .Values.clamav.persistence.mode "shared" }}
  checksum/freshclam: {{ include "clamav-sidecar.freshclamChecksum" . }}
  {{- end }}
  {{- with .Values.clamav.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
