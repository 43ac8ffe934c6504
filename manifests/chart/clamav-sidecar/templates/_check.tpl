{{/* What a schema cannot say, or not so that a reader knows what to do. */}}
{{- define "clamav-sidecar.check" -}}
{{- include "clamav-sidecar.checkTexts" . -}}
{{- include "clamav-sidecar.checkLimits" .Values.clamav.limits -}}
{{- include "clamav-sidecar.checkTogether" . -}}
{{- include "clamav-sidecar.checkSidecar" . -}}
{{- include "clamav-sidecar.checkExtra" (list "clamav.extraConfig" .Values.clamav.extraConfig (include "clamav-sidecar.clamdConfSet" .)) -}}
{{- include "clamav-sidecar.checkExtra" (list "clamav.extraFreshclamConfig" .Values.clamav.extraFreshclamConfig (include "clamav-sidecar.freshclamConfSet" .)) -}}
{{- end }}

{{/* Values that stand in other texts: each is one word of its kind. */}}
{{- define "clamav-sidecar.checkTexts" -}}
{{- $clamav := .Values.clamav -}}
{{- $mirrors := kindIs "slice" $clamav.mirror | ternary $clamav.mirror (compact (list $clamav.mirror)) -}}
{{- range $mirrors -}}
{{- include "clamav-sidecar.want" (list "clamav.mirror" . `(https?://)?[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*)?` "a host, or a URL with http or https, such as https://mirror.example/clamav") -}}
{{- end -}}
{{- $files := dict -}}
{{- range $clamav.customDatabaseURLs -}}
{{- include "clamav-sidecar.want" (list "clamav.customDatabaseURLs" . `((https?://[A-Za-z0-9.-]+(:[0-9]+)?)|file://)/([!-~]*/)?[A-Za-z0-9_-][A-Za-z0-9._-]*\.(cbc|cdb|cfg|crb|cud|cvd|cld|db|fp|ftm|gdb|hdb|hdu|hsb|hsu|idb|ign|ign2|imp|ldb|ldu|mdb|mdu|msb|msu|ndb|ndu|pdb|sfp|wdb|yar|yara)` "a URL with http, https or file, without a password, that ends with a file name that clamd knows by its ending, such as https://mirror.example/ours.ndb") -}}
{{- if or (hasKey $files (base .)) (has (base .) (list "unscannable.cdb" "unscannable.ndb")) (regexMatch `^(main|daily|bytecode)\.` (base .)) -}}
{{- fail (printf "clamav.customDatabaseURLs: %q: another database has the same file name, and one would take the other's place on the volume; want another name" .) -}}
{{- end -}}
{{- $_ := set $files (base .) true -}}
{{- end -}}
{{- range $name, $image := dict "clamav.image" $clamav.image "sidecar.image" .Values.sidecar.image "webhook.image" .Values.webhook.image -}}
{{- include "clamav-sidecar.want" (list $name $image `[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?` "an image such as registry.example/team/image:1.0 or registry.example/team/image@sha256:...") -}}
{{- end -}}
{{- with $clamav.external.host -}}
{{- include "clamav-sidecar.want" (list "clamav.external.host" . `[A-Za-z0-9.:-]+` "one host name or IP address") -}}
{{- end -}}
{{- $objectName := `[a-z0-9]([a-z0-9.-]*[a-z0-9])?` -}}
{{- $quantity := `[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?` -}}
{{- include "clamav-sidecar.want" (list "clamav.persistence.size" $clamav.persistence.size $quantity "a size such as 5Gi") -}}
{{- include "clamav-sidecar.want" (list "clamav.temporaryDirectorySize" $clamav.temporaryDirectorySize $quantity "a size such as 30Gi") -}}
{{- include "clamav-sidecar.want" (list "webhook.configMap.name" .Values.webhook.configMap.name $objectName "a name in lower case letters, digits, - and .") -}}
{{- if has .Values.webhook.configMap.name (list "clamav-server-configuration" "clamav-sidecar-webhook" "clamav-sidecar-dashboard") -}}
{{- fail (printf "webhook.configMap.name: %s is the name of another ConfigMap of the chart; want a name of its own" .Values.webhook.configMap.name) -}}
{{- end -}}
{{- with .Values.sidecar.maxFileSize -}}
{{- include "clamav-sidecar.want" (list "sidecar.maxFileSize" . `[0-9]+[KkMmGg]?` "a size such as 50M") -}}
{{- end -}}
{{- include "clamav-sidecar.want" (list "sidecar.scanTimeout" .Values.sidecar.scanTimeout `([0-9]*[1-9][0-9]*(\.[0-9]+)?(ms|s|m|h))+` "a duration such as 30s") -}}
{{- with $clamav.persistence.existingClaim -}}
{{- include "clamav-sidecar.want" (list "clamav.persistence.existingClaim" . $objectName "a name in lower case letters, digits, - and .") -}}
{{- end -}}
{{- end }}

{{/* Takes a list of the value's name, the value, what it must match as a whole,
     and that in words. */}}
{{- define "clamav-sidecar.want" -}}
{{- $value := toString (index . 1) -}}
{{- if not (regexMatch (printf "\\A(?:%s)\\z" (index . 2)) $value) -}}
{{- fail (printf "%s: %q: want %s" (index . 0) $value (index . 3)) -}}
{{- end -}}
{{- end }}

{{- define "clamav-sidecar.checkLimits" -}}
{{- if gt (int .fileSize) (int .scanSize) -}}
{{- fail (printf "clamav.limits.fileSize (%dM) is above clamav.limits.scanSize (%dM): clamd's StreamMaxLength would be above its MaxFileSize, and it would take uploads that it does not scan; raise scanSize" (int .fileSize) (int .scanSize)) -}}
{{- end -}}
{{- end }}

{{/* What the webhook would refuse in its configuration file. It has the last
     word: new pods that it does not like do not become ready. */}}
{{- define "clamav-sidecar.checkSidecar" -}}
{{- $sidecar := .Values.sidecar -}}
{{- $http := int $sidecar.httpPort -}}
{{- $clamd := int $sidecar.clamdPort -}}
{{- $ops := int $sidecar.opsPort -}}
{{- if and $clamd (lt $clamd 1024) -}}
{{- fail (printf "sidecar.clamdPort: %d: want a port from 1024 to 65535, or 0 for none" $clamd) -}}
{{- end -}}
{{- if or (eq $http $ops) (eq $http $clamd) (eq $clamd $ops) -}}
{{- fail (printf "sidecar.httpPort (%d), sidecar.clamdPort (%d) and sidecar.opsPort (%d): want three that differ" $http $clamd $ops) -}}
{{- end -}}
{{- if and (not $clamd) (eq $sidecar.clamdscan "local") -}}
{{- fail "sidecar.clamdscan is local, and sidecar.clamdPort 0 turns off the port that clamdscan would use; want service, or a port" -}}
{{- end -}}
{{- with $sidecar.maxFileSize -}}
{{- $bytes := regexFind "[0-9]+" . | int64 -}}
{{- range until (get (dict "k" 1 "m" 2 "g" 3) (regexFind "[a-z]$" (lower .)) | int) -}}
{{- $bytes = mul $bytes 1024 -}}
{{- end -}}
{{- if gt $bytes (mul 1048576 (int64 $.Values.clamav.limits.fileSize)) -}}
{{- fail (printf "sidecar.maxFileSize (%s) is above what the service takes (clamav.limits.fileSize, %dM): it would refuse what the sidecar lets through" $sidecar.maxFileSize (int $.Values.clamav.limits.fileSize)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "clamav-sidecar.checkTogether" -}}
{{- $clamav := .Values.clamav -}}
{{- if not (or $clamav.enabled .Values.webhook.enabled) -}}
{{- fail "clamav.enabled and webhook.enabled are both false: nothing would be installed" -}}
{{- end -}}
{{- if and $clamav.autoscaling.enabled (include "clamav-sidecar.oneNode" .) -}}
{{- fail "clamav.autoscaling.enabled: replicas that share a ReadWriteOnce volume all run on one node, where more of them scan no faster; set clamav.persistence.mode to perReplica or emptyDir" -}}
{{- end -}}
{{- with $clamav.autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "clamav.autoscaling.minReplicas (%d) is above clamav.autoscaling.maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $clamav.persistence.existingClaim (ne $clamav.persistence.mode "shared") -}}
{{- fail (printf "clamav.persistence.existingClaim is for clamav.persistence.mode shared, which is %s" $clamav.persistence.mode) -}}
{{- end -}}
{{- if and $clamav.enabled (not $clamav.officialDatabases) (not $clamav.customDatabaseURLs) -}}
{{- fail "clamav.officialDatabases and clamav.customDatabaseURLs are both empty: clamd does not start without signatures" -}}
{{- end -}}
{{- end }}

{{/* Refuses extra lines for options that the chart sets: ClamAV takes the first
     of two, without a word. Takes a list of the value's name, the lines, and what
     the chart sets. */}}
{{- define "clamav-sidecar.checkExtra" -}}
{{- $own := dict -}}
{{- range splitList "\n" (index . 2) -}}
{{- $_ := set $own (regexFind "^[A-Za-z0-9]+" . | lower) true -}}
{{- end -}}
{{- $name := index . 0 -}}
{{- if regexMatch "[\\r\\x{85}\\x{2028}\\x{2029}]" (index . 1) -}}
{{- fail (printf "%s: want lines that end with line feeds alone: YAML takes carriage returns and Unicode's separators for ends of lines too" $name) -}}
{{- end -}}
{{- range splitList "\n" (index . 1) -}}
{{- $option := regexFind "^[A-Za-z0-9]+" (trim .) -}}
{{- if and $option (hasKey $own (lower $option)) -}}
{{- fail (printf "%s: %s is set by the chart, and ClamAV takes the first of two; take the line out and set the value that the chart's README names for it" $name $option) -}}
{{- end -}}
{{- if has (lower $option) (list "example" "localsocket" "tcpaddr" "user" "logfile" "pidfile" "updatelogfile") -}}
{{- fail (printf "%s: %s cannot be set: the pods have no place for it" $name $option) -}}
{{- end -}}
{{- end -}}
{{- end }}
