{{/* A value as TOML, in one line; tables within are inline tables. What JSON quotes is quoted for TOML too. */}}
{{- define "torchmesh.tomlValue" -}}
{{- if kindIs "map" . -}}
{{- $fields := list -}}
{{- range $key := keys . | sortAlpha -}}
{{- $fields = append $fields (printf "%s = %s" ($key | toJson) (include "torchmesh.tomlValue" (get $ $key))) -}}
{{- end -}}
{ {{ join ", " $fields }} }
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- $items = append $items (include "torchmesh.tomlValue" .) -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else if kindIs "string" . -}}
{{- toJson . -}}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ printf "%d" (int64 .) }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* A map as a TOML file: a line for each key. */}}
{{- define "torchmesh.toml" -}}
{{- $lines := list -}}
{{- range $key := keys . | sortAlpha -}}
{{- $lines = append $lines (printf "%s = %s" $key (include "torchmesh.tomlValue" (get $ $key))) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{/* A duration such as 250ms, 2s, 5m or 1h30m in whole seconds, rounded up. */}}
{{- define "torchmesh.seconds" -}}
{{- $milliseconds := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $milliseconds = add $milliseconds (mul $number (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit)) -}}
{{- end -}}
{{- div (add $milliseconds 999) 1000 -}}
{{- end -}}

{{/* How long a pod may take to end: what its service asks for, the three seconds in which it takes its leave, and two to spare. Given: service. */}}
{{- define "torchmesh.gracePeriod" -}}
{{- $drain := dig "drain" dict .service.settings -}}
{{- $delay := include "torchmesh.seconds" (dig "delay" "0s" $drain) | int -}}
{{- $grace := include "torchmesh.seconds" (dig "grace" "30s" $drain) | int -}}
{{- add $delay $grace (int .service.preStopSeconds) 5 -}}
{{- end -}}

{{/* The settings that every service has, as JSON. Given: root, component, port, adminPort. */}}
{{- define "torchmesh.settingsOfAll" -}}
{{- $settings := dict "addr" (printf "0.0.0.0:%d" (int .port)) "admin_addr" (printf "0.0.0.0:%d" (int .adminPort)) -}}
{{- $telemetry := dict "log" .root.Values.telemetry.log -}}
{{- with .root.Values.telemetry.otlpEndpoint }}{{ $_ := set $telemetry "otlp_endpoint" . }}{{ end -}}
{{- $_ := set $settings "telemetry" $telemetry -}}
{{- toJson $settings -}}
{{- end -}}

{{/* discovery.consul, as JSON. Address and name of the pod come by the environment. Given: root. */}}
{{- define "torchmesh.consulSettings" -}}
{{- $consul := dict "address" (include "torchmesh.consulAddress" .root) "prefix" .root.Values.consul.prefix -}}
{{- if .root.Values.consul.tokenSecret }}{{ $_ := set $consul "token_file" "/etc/torchmesh/consul-token/token" }}{{ end -}}
{{- if .root.Values.consul.caSecret }}{{ $_ := set $consul "ca_file" "/etc/torchmesh/consul-ca/ca.crt" }}{{ end -}}
{{/* The agent has no certificate to show. */}}
{{- if .root.Values.tls.mesh.enabled }}{{ $_ := set $consul "grpc_check" false }}{{ end -}}
{{- toJson (mustMergeOverwrite $consul (deepCopy .root.Values.consul.settings)) -}}
{{- end -}}

{{/* discovery of who looks for routers, as JSON. Given: root. */}}
{{- define "torchmesh.findingRouters" -}}
{{- $kind := .root.Values.discovery.kind -}}
{{- if eq $kind "consul" -}}
{{- toJson (dict "consul" (include "torchmesh.consulSettings" . | fromJson)) -}}
{{- else if eq $kind "kubernetes" -}}
{{- toJson (dict "kubernetes" (dict "prefix" (include "torchmesh.fullname" .root))) -}}
{{- else -}}
{{- toJson (dict "dns" (dict "address" (printf "%s-router:8081" (include "torchmesh.fullname" .root)))) -}}
{{- end -}}
{{- end -}}

{{/* mesh_tls, as JSON: who is on the other side, and what it is shown. Given: root, to. */}}
{{- define "torchmesh.meshTls" -}}
{{- $folder := "/etc/torchmesh/mesh-tls" -}}
{{- toJson (dict "ca" (printf "%s/ca.crt" $folder) "cert" (printf "%s/tls.crt" $folder) "key" (printf "%s/tls.key" $folder) "name" (include "torchmesh.meshName" (dict "root" .root "component" .to))) -}}
{{- end -}}

{{/* tls of a service that asks for certificates, as JSON. */}}
{{- define "torchmesh.askingTls" -}}
{{- $folder := "/etc/torchmesh/mesh-tls" -}}
{{- toJson (dict "cert" (printf "%s/tls.crt" $folder) "key" (printf "%s/tls.key" $folder) "client_ca" (printf "%s/ca.crt" $folder)) -}}
{{- end -}}
