{{/* Parts of pods: the concierge's and the one that `helm test` runs. */}}

{{- define "latchkey.image" -}}
{{- $image := .Values.image -}}
{{- $name := list $image.registry $image.repository | compact | join "/" -}}
{{- if $image.digest -}}
{{- /* The tag is for people: the digest decides. */ -}}
{{- printf "%s%s@%s" $name (ternary (printf ":%s" $image.tag) "" (ne $image.tag "")) $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* An address to listen at. Arguments: root, port. */}}
{{- define "latchkey.address" -}}
{{- $host := .root.Values.bindAddress -}}
{{- printf "%s:%d" (ternary (printf "[%s]" $host) $host (contains ":" $host)) (int .port) -}}
{{- end -}}

{{/* What automounting would mount, for one container only. */}}
{{- define "latchkey.serviceAccountVolume" -}}
- name: service-account
  projected:
    sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3607
    - configMap:
        name: kube-root-ca.crt
        items:
        - key: ca.crt
          path: ca.crt
    - downwardAPI:
        items:
        - path: namespace
          fieldRef:
            fieldPath: metadata.namespace
{{- end -}}

{{- define "latchkey.serviceAccountMount" -}}
- name: service-account
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}

{{/* The seconds from SIGTERM to the concierge's last: its grace, and 51 for what it winds down after that. */}}
{{- define "latchkey.windDown" -}}
{{- $grace := default "5s" .Values.shutdownGrace -}}
{{- $unit := index (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000) (regexFind "[a-z]+$" $grace) -}}
{{- $milliseconds := mul (regexFind "^[0-9]+" $grace | atoi) $unit -}}
{{- add 51 (div (add $milliseconds 999) 1000) -}}
{{- end -}}

{{/* How long the kubelet waits for it: a few seconds more, for a busy node. */}}
{{- define "latchkey.terminationGracePeriodSeconds" -}}
{{- default (add 4 (include "latchkey.windDown" .)) .Values.terminationGracePeriodSeconds | int64 -}}
{{- end -}}

{{/* The flags that follow from values. Every flag can be given as LATCHKEY_<FLAG> as well (extraEnv). */}}
{{- define "latchkey.args" -}}
{{- $values := .Values -}}
- --aggregated-api-address={{ include "latchkey.address" (dict "root" . "port" $values.ports.aggregatedAPI) }}
- --admin-address={{ include "latchkey.address" (dict "root" . "port" $values.ports.admin) }}
- --api-service-name={{ include "latchkey.fullname" . }}-api
- --credential-issuer={{ include "latchkey.credentialIssuer" . }}
{{- if ne $values.apiGroupSuffix "latchkey.dev" }}
- --api-group-suffix={{ $values.apiGroupSuffix }}
{{- end }}
{{- if ne $values.tls.mode "self" }}
- --aggregated-api-tls-cert-file=/etc/latchkey/aggregated-api/tls.crt
- --aggregated-api-tls-key-file=/etc/latchkey/aggregated-api/tls.key
- --aggregated-api-tls-ca-file=/etc/latchkey/aggregated-api/ca.crt
{{- end }}
{{- if $values.review.enabled }}
- --review-address={{ include "latchkey.address" (dict "root" . "port" $values.review.port) }}
- --review-client-ca-file=/etc/latchkey/review-client-ca/{{ $values.review.clientCA.key }}
{{- range $values.review.clientNames }}
- {{ printf "--review-client-name=%s" . | quote }}
{{- end }}
{{- if $values.review.tlsSecretName }}
- --review-tls-cert-file=/etc/latchkey/review-tls/tls.crt
- --review-tls-key-file=/etc/latchkey/review-tls/tls.key
{{- end }}
{{- end }}
{{- with $values.audit }}
{{- if .file.enabled }}
- {{ printf "--audit-log=%s" .file.path | quote }}
{{- if .stdout }}
- --audit-stdout
{{- end }}
{{- with .file.fsync }}
- --audit-fsync={{ . }}
{{- end }}
{{- with .file.rotateBytes }}
- --audit-rotate-bytes={{ . }}
{{- end }}
{{- with .file.rotateAge }}
- --audit-rotate-age={{ . }}
{{- end }}
{{- with .file.keepBytes }}
- --audit-keep-bytes={{ . }}
{{- end }}
{{- with .file.keepAge }}
- --audit-keep-age={{ . }}
{{- end }}
{{- with .file.keepFiles }}
- --audit-keep-files={{ int . }}
{{- end }}
{{- else }}
- --audit-log=-
{{- end }}
{{- with .names }}
- --audit-names={{ . }}
{{- end }}
{{- with .otlp.endpoint }}
- {{ printf "--audit-otlp-endpoint=%s" . | quote }}
{{- end }}
{{- if .otlp.plaintext }}
- --audit-otlp-plaintext
{{- end }}
{{- if .otlp.headersSecret.name }}
- --audit-otlp-headers-file=/etc/latchkey/audit-otlp-headers/{{ .otlp.headersSecret.key }}
{{- end }}
{{- if .otlp.caConfigMap.name }}
- --audit-otlp-ca-file=/etc/latchkey/audit-otlp-ca/{{ .otlp.caConfigMap.key }}
{{- end }}
{{- with .required }}
- --audit-required={{ join "," . }}
{{- end }}
{{- with .checkpointEvery }}
- --audit-checkpoint-every={{ . }}
{{- end }}
{{- end }}
{{- with $values.log.level }}
- {{ printf "--log=%s" . | quote }}
{{- end }}
{{- with $values.tokenRejectionLifetime }}
- --token-rejection-lifetime={{ . }}
{{- end }}
{{- with $values.shutdownGrace }}
- --shutdown-grace={{ . }}
{{- end }}
{{- range $values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The folders that those flags name: a list of name, mount path, whether it is written to, and the volume's source. */}}
{{- define "latchkey.folders" -}}
{{- $values := .Values -}}
{{- if ne $values.tls.mode "self" }}
- name: aggregated-api
  mountPath: /etc/latchkey/aggregated-api
  source:
    secret:
      secretName: {{ ternary (printf "%s-api-tls" (include "latchkey.fullname" .)) $values.tls.secretName (eq $values.tls.mode "certManager") }}
{{- end }}
{{- with $values.review }}
{{- if .enabled }}
- name: review-client-ca
  mountPath: /etc/latchkey/review-client-ca
  source:
    {{- if .clientCA.configMapName }}
    configMap:
      name: {{ .clientCA.configMapName }}
    {{- else }}
    secret:
      secretName: {{ .clientCA.secretName }}
      # The authority alone: where its key lies beside it, that is none of ours.
      items:
      - key: {{ .clientCA.key }}
        path: {{ .clientCA.key }}
    {{- end }}
{{- if .tlsSecretName }}
- name: review-tls
  mountPath: /etc/latchkey/review-tls
  source:
    secret:
      secretName: {{ .tlsSecretName }}
{{- end }}
{{- end }}
{{- end }}
{{- with $values.audit.otlp }}
{{- if .headersSecret.name }}
- name: audit-otlp-headers
  mountPath: /etc/latchkey/audit-otlp-headers
  source:
    secret:
      secretName: {{ .headersSecret.name }}
{{- end }}
{{- if .caConfigMap.name }}
- name: audit-otlp-ca
  mountPath: /etc/latchkey/audit-otlp-ca
  source:
    configMap:
      name: {{ .caConfigMap.name }}
{{- end }}
{{- end }}
{{- with $values.audit.file }}
{{- if .enabled }}
- name: audit
  mountPath: {{ dir .path }}
  written: true
  source:
    {{- toYaml .volume | nindent 4 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "latchkey.selfTestName" -}}
{{- printf "%s-self-test" (include "latchkey.fullname" .) -}}
{{- end -}}

{{/* Not empty where the namespace's default account is in none of the groups that may log in. */}}
{{- define "latchkey.selfTestNeedsRights" -}}
{{- $groups := list "system:authenticated" "system:serviceaccounts" (printf "system:serviceaccounts:%s" (include "latchkey.namespace" .)) -}}
{{- $may := false -}}
{{- range .Values.rbac.loginGroups -}}
{{- $may = or $may (has . $groups) -}}
{{- end -}}
{{- if and .Values.rbac.create (not $may) -}}
true
{{- end -}}
{{- end -}}
