#!/usr/bin/env bash
# build.sh FOLDER: compiles Kubernetes and CoreDNS from their Go modules into FOLDER/bin. Takes ten minutes on two cores, once.
set -euo pipefail
folder=$(realpath -m "${1:?where to}")
kubernetes=1.34.2
coredns=1.12.4

export GOMODCACHE="$folder/gomod" GOCACHE="$folder/gocache" GOFLAGS=-mod=mod CGO_ENABLED=0
mkdir -p "$folder/bin" "$folder/src/kubernetes" "$folder/src/coredns"

cd "$folder/src/kubernetes"
go mod download "k8s.io/kubernetes@v$kubernetes"
{
  printf 'module build\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$kubernetes"
  # Its own parts are published as modules beside it, with 0 in the place of 1.
  awk -v version="v0.${kubernetes#1.}" '$2 == "v0.0.0" && $1 ~ /^k8s.io/ { print "  " $1 " => " $1 " " version }' \
    "$GOMODCACHE/k8s.io/kubernetes@v$kubernetes/go.mod" | sort -u
  printf ')\n'
} > go.mod
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags="$flags -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=34"
done
for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  [ -x "$folder/bin/$program" ] || go build -ldflags "$flags" -o "$folder/bin/$program" "k8s.io/kubernetes/cmd/$program"
done

cd "$folder/src/coredns"
printf 'module build\n\ngo 1.24.0\n\nrequire github.com/coredns/coredns v%s\n' "$coredns" > go.mod
cat > main.go <<'END'
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func init() { dnsserver.Directives = []string{"bind", "errors", "cache", "kubernetes"} }

func main() { coremain.Run() }
END
[ -x "$folder/bin/coredns" ] || go build -ldflags "-s -w" -o "$folder/bin/coredns" .
