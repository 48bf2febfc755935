{{/* What things are called. */}}

{{- define "torchmesh.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels by which pods are found: they never change. Given: root, component. */}}
{{- define "torchmesh.selector" -}}
app.kubernetes.io/name: torchmesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The label of pods that answer for models, which routers look for: workers, and pipelines. */}}
{{- define "torchmesh.answering" -}}
torchmesh/answers: models
{{- end -}}

{{/* Whether a component is found by the others, and shows them its certificate. Given: component. */}}
{{- define "torchmesh.inMesh" -}}
{{- if has .component (list "gateway" "router" "worker" "pipelines") -}}yes{{- end -}}
{{- end -}}

{{/* Every label of an object. Given: root, component. */}}
{{- define "torchmesh.labels" -}}
{{ include "torchmesh.selector" . }}
app.kubernetes.io/part-of: torchmesh
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Given: root, image (repository, tag, digest); ours is false for somebody else's. */}}
{{- define "torchmesh.image" -}}
{{- $registry := ternary .root.Values.image.registry "" (dig "ours" true .) -}}
{{- $repository := ternary (printf "%s/%s" (trimSuffix "/" $registry) .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "torchmesh.serviceAccountName" -}}
{{- if .root.Values.serviceAccounts.create -}}
{{- printf "%s-%s" (include "torchmesh.fullname" .root) .component -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The Secret with the gateways' keys. */}}
{{- define "torchmesh.keysSecret" -}}
{{- .Values.gateway.keys.existingSecret | default (printf "%s-keys" (include "torchmesh.fullname" .)) -}}
{{- end -}}

{{/* Whether there is a keys file: accounts can stand alone. */}}
{{- define "torchmesh.hasKeys" -}}
{{- if or .Values.gateway.keys.existingSecret .Values.gateway.keys.create -}}yes{{- end -}}
{{- end -}}

{{- define "torchmesh.tokensSecret" -}}
{{- .Values.accounts.tokensSecret | default (printf "%s-tokens" (include "torchmesh.fullname" .)) -}}
{{- end -}}

{{/* The Secret with the portal's key for the list of models; empty where there is none. */}}
{{- define "torchmesh.catalogueSecret" -}}
{{- if .Values.portal.catalogue.keySecret -}}
{{- .Values.portal.catalogue.keySecret -}}
{{- else if and .Values.gateway.keys.create (not .Values.gateway.keys.existingSecret) -}}
{{- printf "%s-catalogue-key" (include "torchmesh.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with a key for tests, and which of its entries it is; empty where there is none. */}}
{{- define "torchmesh.testKeySecret" -}}
{{- if .Values.tests.keySecret -}}
{{- .Values.tests.keySecret -}}
{{- else if and .Values.gateway.keys.create (not .Values.gateway.keys.existingSecret) -}}
{{- printf "%s-first-key" (include "torchmesh.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "torchmesh.consulAddress" -}}
{{- if .Values.consul.bundled -}}
{{- printf "http://%s-consul:8500" (include "torchmesh.fullname" .) -}}
{{- else -}}
{{- .Values.consul.address -}}
{{- end -}}
{{- end -}}

{{/* Whether a component shows others a certificate of the mesh. Given: root, component. */}}
{{- define "torchmesh.showsCertificate" -}}
{{- if .root.Values.tls.mesh.enabled -}}
{{- if or (include "torchmesh.inMesh" .) (and (eq .component "portal") (include "torchmesh.portalHasOperators" .root)) (and (eq .component "tools") (include "torchmesh.keepsRoutes" .root)) -}}yes{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether jobs see to the routes. */}}
{{- define "torchmesh.keepsRoutes" -}}
{{- if and .Values.routes.keep.enabled (ne .Values.routes.store "file") -}}yes{{- end -}}
{{- end -}}

{{/* Whether the accounts speak TLS. */}}
{{- define "torchmesh.accountsTls" -}}
{{- if and .Values.accounts.enabled .Values.tls.accounts.enabled -}}yes{{- end -}}
{{- end -}}

{{- define "torchmesh.accountsAddress" -}}
{{- printf "%s://%s-accounts:8083" (empty (include "torchmesh.accountsTls" .) | ternary "http" "https") (include "torchmesh.fullname" .) -}}
{{- end -}}

{{- define "torchmesh.accountsTlsSecret" -}}
{{- .Values.tls.accounts.secretName | default (printf "%s-accounts-tls" (include "torchmesh.fullname" .)) -}}
{{- end -}}

{{/* The Secrets of certificates. Given: root, component. */}}
{{- define "torchmesh.meshSecret" -}}
{{- /* Pipelines are workers to those who ask for a certificate. */}}
{{- $component := ternary "worker" .component (eq .component "pipelines") -}}
{{- $given := get .root.Values.tls.mesh (printf "%sSecret" $component) -}}
{{- $given | default (printf "%s-%s-mesh-tls" (include "torchmesh.fullname" .root) $component) -}}
{{- end -}}

{{- define "torchmesh.portalTlsSecret" -}}
{{- .Values.tls.portal.secretName | default (printf "%s-portal-tls" (include "torchmesh.fullname" .)) -}}
{{- end -}}

{{- define "torchmesh.gatewayTlsSecret" -}}
{{- .Values.tls.gateway.secretName | default (printf "%s-gateway-tls" (include "torchmesh.fullname" .)) -}}
{{- end -}}

{{/* What a certificate of a component says; `inner` is a second name of those that routers ask: workers, pipelines and other routers. Given: root, component. */}}
{{- define "torchmesh.meshName" -}}
{{- printf "%s.%s.mesh" .component (include "torchmesh.fullname" .root) -}}
{{- end -}}
