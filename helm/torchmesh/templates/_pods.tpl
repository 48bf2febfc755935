{{/* What the pods of every service have. */}}

{{/* The upper part of a pod's spec. Given: root, component, service, account (a name, where it is not the component's). */}}
{{- define "torchmesh.podSpec" -}}
serviceAccountName: {{ .account | default (include "torchmesh.serviceAccountName" .) }}
{{- /* Only who finds others by the Kubernetes API asks it for anything. */}}
automountServiceAccountToken: {{ and (eq .root.Values.discovery.kind "kubernetes") (has .component (list "gateway" "router" "pipelines")) }}
# Kubernetes would put TORCHMESH_GATEWAY_PORT and the like into the environment, where services look for their settings.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "torchmesh.gracePeriod" . }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- $class := .service.priorityClassName | default (include "torchmesh.priorityClass" .) }}
{{- with $class }}
priorityClassName: {{ . }}
{{- end }}
{{- if .service.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range .service.topologySpread.keys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $.service.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "torchmesh.selector" $ | nindent 8 }}
        {{- with $.selector }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- with .service.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .service.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .service.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The class of a component, where the chart makes classes or is told some. */}}
{{- define "torchmesh.priorityClass" -}}
{{- $classes := .root.Values.priorityClasses -}}
{{- $kind := ternary "workers" "control" (has .component (list "worker" "pipelines" "portal")) -}}
{{- get $classes $kind | default (ternary (printf "%s-%s" (include "torchmesh.fullname" .root) $kind) "" $classes.create) -}}
{{- end -}}

{{/* The restricted standard for a container. */}}
{{- define "torchmesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Started, ready and alive. Readiness goes by the port that calls arrive at; where that speaks TLS, which kubelets do not, by the admin port, which says the same.
Liveness never depends on others: what is not ready is not restarted for it. Given: tls, starting (seconds), startedWhenReady. */}}
{{- define "torchmesh.probes" -}}
{{- $ready := ternary (dict "httpGet" (dict "path" "/ready" "port" "admin")) (dict "grpc" (dict "port" (int .port))) .tls -}}
{{- $live := dict "httpGet" (dict "path" "/live" "port" "admin") -}}
startupProbe:
  {{- toYaml (ternary $ready $live .startedWhenReady) | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ max 5 (div (int .starting) 2) }}
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  {{- toYaml $live | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* A pause before SIGTERM. Given: service. */}}
{{- define "torchmesh.lifecycle" -}}
{{- if gt (int .service.preStopSeconds) 0 -}}
lifecycle:
  preStop:
    sleep: {seconds: {{ int .service.preStopSeconds }}}
{{- end -}}
{{- end -}}

{{/* Who this pod is, for Consul. Given: root, component, port, service. */}}
{{- define "torchmesh.env" -}}
{{- if eq .root.Values.discovery.kind "consul" -}}
{{- if include "torchmesh.inMesh" . -}}
{{- $prefix := printf "TORCHMESH_%s_DISCOVERY__CONSUL__" (upper .component) -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: {{ $prefix }}ID
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: {{ $prefix }}ADVERTISE
  value: $(POD_IP)
{{- end -}}
{{- end -}}
{{- with .service.env }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Volumes with what Consul asks for and such as the values name, and their mounts. Given: root, component, service. */}}
{{- define "torchmesh.sharedVolumes" -}}
- name: config
  configMap: {name: {{ .config }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if and (eq .root.Values.discovery.kind "consul") (include "torchmesh.inMesh" .) }}
{{- with .root.Values.consul.tokenSecret }}
- name: consul-token
  secret:
    secretName: {{ . }}
    defaultMode: 288
    items: [{key: {{ $.root.Values.consul.tokenKey }}, path: token}]
{{- end }}
{{- with .root.Values.consul.caSecret }}
- name: consul-ca
  secret:
    secretName: {{ . }}
    defaultMode: 288
    items: [{key: {{ $.root.Values.consul.caKey }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- if and (has .component (list "gateway" "portal")) (include "torchmesh.accountsTls" .root) }}
- name: accounts-ca
  secret:
    secretName: {{ include "torchmesh.accountsTlsSecret" .root }}
    defaultMode: 288
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- if include "torchmesh.showsCertificate" . }}
- name: mesh-tls
  secret:
    secretName: {{ include "torchmesh.meshSecret" . }}
    defaultMode: 288
{{- end }}
{{- with .service.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "torchmesh.sharedMounts" -}}
- {name: config, mountPath: /etc/torchmesh/config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if and (eq .root.Values.discovery.kind "consul") (include "torchmesh.inMesh" .) }}
{{- if .root.Values.consul.tokenSecret }}
- {name: consul-token, mountPath: /etc/torchmesh/consul-token, readOnly: true}
{{- end }}
{{- if .root.Values.consul.caSecret }}
- {name: consul-ca, mountPath: /etc/torchmesh/consul-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if and (has .component (list "gateway" "portal")) (include "torchmesh.accountsTls" .root) }}
- {name: accounts-ca, mountPath: /etc/torchmesh/accounts-ca, readOnly: true}
{{- end }}
{{- if include "torchmesh.showsCertificate" . }}
- {name: mesh-tls, mountPath: /etc/torchmesh/mesh-tls, readOnly: true}
{{- end }}
{{- with .service.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A budget of disruptions, where there is more than one pod. Given: root, component, name, service, replicas, selector. */}}
{{- define "torchmesh.pdb" -}}
{{- if and .service.podDisruptionBudget.enabled (gt (int .replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "torchmesh.labels" . | nindent 4 }}
    {{- with .selector }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  maxUnavailable: {{ .service.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready keeps nobody from emptying a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "torchmesh.selector" . | nindent 6 }}
      {{- with .selector }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
{{- end -}}

{{/* By the processor. Given: root, component, name, kind, service. */}}
{{- define "torchmesh.cpuScaler" -}}
{{- if .service.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "torchmesh.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: {{ .kind }}, name: {{ .name }}}
  minReplicas: {{ .service.autoscaling.minReplicas }}
  maxReplicas: {{ .service.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .service.autoscaling.targetCPU }}}
  {{- with .service.autoscaling.behavior }}
  behavior: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
