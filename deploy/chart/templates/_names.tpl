{{/* Names and labels. A name is at most 52 characters, so that with its longest ending a Service's still fits into 63. */}}

{{- define "latchkey.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "latchkey.fullname" -}}
{{- $name := include "latchkey.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if or (eq .Release.Name "latchkey") (eq .Release.Name $name) -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What is not the concierge's alone: `latchkey` in names such as latchkey-login, latchkey-settings. */}}
{{- define "latchkey.basename" -}}
{{- include "latchkey.fullname" . | trimSuffix "-concierge" -}}
{{- end -}}

{{- define "latchkey.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "latchkey.serviceAccountName" -}}
{{- default (include "latchkey.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "latchkey.credentialIssuer" -}}
{{- default (include "latchkey.basename" .) .Values.credentialIssuer -}}
{{- end -}}

{{- define "latchkey.group" -}}
{{- printf "%s.concierge.%s" .group .root.Values.apiGroupSuffix -}}
{{- end -}}

{{/* A Deployment's selector is immutable: never a version in it. */}}
{{- define "latchkey.selector" -}}
app.kubernetes.io/name: {{ include "latchkey.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: concierge
{{- end -}}

{{/* What stands under `metadata`. Arguments: root, name, and if need be namespace (false: none), component, labels, annotations. */}}
{{- define "latchkey.metadata" -}}
{{- $root := .root -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "latchkey.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/component" (default "concierge" .component)
  "app.kubernetes.io/part-of" "latchkey"
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_")) -}}
name: {{ .name }}
{{- if not (kindIs "bool" .namespace) }}
namespace: {{ default (include "latchkey.namespace" $root) .namespace }}
{{- end }}
labels:
  {{- mergeOverwrite (deepCopy $root.Values.commonLabels) (deepCopy (default dict .labels)) $own | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy (default dict .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The concierge's account as a subject. */}}
{{- define "latchkey.subject" -}}
- kind: ServiceAccount
  name: {{ include "latchkey.serviceAccountName" . }}
  namespace: {{ include "latchkey.namespace" . }}
{{- end -}}
