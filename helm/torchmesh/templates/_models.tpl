{{/* A version of a model with all that holds for it: what the version says, else the model, else `workers`. As JSON. Given: root, model, version (as listed). */}}
{{- define "torchmesh.worker" -}}
{{- $own := ternary .version (dict "version" .version) (kindIs "map" .version) -}}
{{- $merged := mustMergeOverwrite (deepCopy .root.Values.workers) (omit (deepCopy .model) "versions" "route") (deepCopy $own) -}}
{{/* Of a source only one kind holds: a version's takes the place of the model's. */}}
{{- $_ := set $merged "source" (default (get .model "source") (get $own "source") | default dict) -}}
{{- $_ := set $merged "version" (toString $merged.version) -}}
{{- $slug := .model.name | lower | replace "_" "-" | replace "." "-" -}}
{{- if ne $slug .model.name }}{{ $slug = printf "%s-%s" (trunc 20 $slug | trimSuffix "-") (sha256sum .model.name | trunc 5) }}{{ end -}}
{{- $_ := set $merged "slug" ($slug | trunc 30 | trimSuffix "-") -}}
{{- $_ := set $merged "resourceName" (printf "%s-%s-v%s" (include "torchmesh.fullname" .root | trunc 24 | trimSuffix "-") $merged.slug $merged.version) -}}
{{- $_ := set $merged "cuda" (hasPrefix "cuda" $merged.device) -}}
{{- toJson $merged -}}
{{- end -}}

{{/* The model.toml of a version; empty where nothing is to be said. Given: worker. */}}
{{- define "torchmesh.manifest" -}}
{{- $manifest := deepCopy (.worker.manifest | default dict) -}}
{{- range $key := list "batching" "queue" "sampling" "warmup" "instances" "dtype" -}}
{{- if hasKey $.worker $key }}{{ $_ := set $manifest $key (get $.worker $key) }}{{ end -}}
{{- end -}}
{{- if or .worker.cuda (ne (len $manifest) 0) -}}
{{- if ne (dig "device" "" $manifest) "" -}}{{- else if .worker.cuda }}{{ $_ := set $manifest "device" (ternary .worker.device "cuda:0" (contains ":" .worker.device)) }}{{ end -}}
{{- end -}}
{{- if .worker.source.url -}}
{{- $source := dict "url" (.worker.source.url | replace "{version}" .worker.version) "version" (int64 .worker.version) -}}
{{- with .worker.source.files }}{{ $_ := set $source "files" . }}{{ end -}}
{{- with .worker.source.sha256 }}{{ $_ := set $source "sha256" . }}{{ end -}}
{{- $_ := set $manifest "source" (list $source) -}}
{{- end -}}
{{- if $manifest -}}
{{- include "torchmesh.toml" $manifest -}}
{{- end -}}
{{- end -}}

{{/* Labels that tell versions apart. Given: worker. */}}
{{- define "torchmesh.versionLabels" -}}
torchmesh/model: {{ .worker.name | quote }}
torchmesh/version: {{ .worker.version | quote }}
{{- end -}}

{{- define "torchmesh.workerSettings" -}}
{{- $settings := include "torchmesh.settingsOfAll" (dict "root" .root "port" 8082 "adminPort" 9082) | fromJson -}}
{{- $_ := set $settings "models_dir" "/models" -}}
{{- $_ := set $settings "models_cache" "/cache" -}}
{{- if eq .root.Values.discovery.kind "consul" -}}
{{- $_ := set $settings "discovery" (dict "consul" (include "torchmesh.consulSettings" (dict "root" .root) | fromJson)) -}}
{{- end -}}
{{- if .root.Values.tls.mesh.enabled }}{{ $_ := set $settings "tls" (include "torchmesh.askingTls" . | fromJson) }}{{ end -}}
{{- include "torchmesh.toml" (mustMergeOverwrite $settings (deepCopy .worker.settings)) -}}
{{- end -}}

{{/* What a worker asks for: its resources, and GPUs where it has them. Given: worker. */}}
{{- define "torchmesh.workerResources" -}}
{{- $resources := deepCopy .worker.resources -}}
{{- if .worker.cuda -}}
{{- $gpus := dict "nvidia.com/gpu" (toString .worker.gpus) -}}
{{- $_ := set $resources "limits" (merge (default dict $resources.limits) $gpus) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Every version of every pipeline, as JSON: names, each with its versions, the least first. Given: root. */}}
{{- define "torchmesh.pipelines" -}}
{{- $found := dict -}}
{{- with .root.Values.pipelines -}}
{{- if .enabled -}}
{{- $paths := keys .files -}}
{{- range .configMaps }}{{ range .items }}{{ $paths = append $paths .path }}{{ end }}{{ end -}}
{{- range $paths | sortAlpha -}}
{{- $name := dir . -}}
{{- $padded := printf "%020s" (base . | trimSuffix ".toml") -}}
{{- $_ := set $found $name (append (get $found $name | default list) $padded) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $padded := $found -}}
{{- $versions := list -}}
{{- range $padded | sortAlpha }}{{ $versions = append $versions (regexFind "[1-9][0-9]*$" .) }}{{ end -}}
{{- $_ := set $found $name $versions -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
