#!/usr/bin/env bash
# prepare.sh FOLDER [STEP…]: all that up.sh needs besides what build.sh makes: Debian's packages, images as archives in FOLDER/images, models in FOLDER/models.
#
# The steps are packages, bases, images, others, archives, models and sizes, in this order; without any, all are made. Each can be made again. Needs root, Debian bookworm, what `make setup`
# makes, and some 10 GB in FOLDER. It ends with a table of the images' sizes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=$(realpath -m "${1:?where to}")
shift
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(packages bases images others archives models sizes)

release=bookworm
images=(gateway router accounts pipelines portal worker-cpu tools)
version=$(sed -n 's/^appVersion: "\(.*\)"/\1/p' "$root/helm/torchmesh/Chart.yaml")
# As here.yaml has it.
consul=$(sed -n 's/.*repository: consul, tag: "\([^"]*\)".*/\1/p' "$here/here.yaml")
cache=${TORCHMESH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/torchmesh}
models=${TORCHMESH_HOME:-$root/.torchmesh}/models
export DOCKER_HOST=unix:///run/tmdocker.sock DOCKER_BUILDKIT=1
# Debian's docker comes first, whose builder is a part of its daemon.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# What is to be undone at the end, whatever the end is.
undo=()
finish() {
  local each
  for each in "${undo[@]}"; do eval "$each" || true; done
}
trap finish EXIT

# What the cluster and the images are made with. No service starts for having been installed: up.sh starts etcd and containerd where they belong.
packages() {
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    undo+=("rm -f $policy")
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update --quiet
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    containerd containernetworking-plugins debootstrap docker.io etcd-server iproute2 iptables openssl procps runc util-linux
}

# A daemon for as long as this runs. It leaves the machine's network alone: it makes no bridge and no rule, and does not set the machine's forwarding to DROP. What is built in it has the
# machine's own network.
daemon() {
  if docker version >/dev/null 2>&1; then return; fi
  mkdir -p "$folder/docker"
  setsid dockerd --host "$DOCKER_HOST" --data-root "$folder/docker" --exec-root /run/tmdocker --pidfile /run/tmdocker.pid --bridge none \
    --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >"$folder/docker.log" 2>&1 </dev/null &
  local process=$! tries=0
  undo+=("kill $process 2>/dev/null; wait $process 2>/dev/null")
  until docker version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$process" 2>/dev/null; then
      echo "error: dockerd does not start: $(tail -1 "$folder/docker.log")" >&2
      exit 1
    fi
    sleep 0.3
  done
}

# What the images stand on, of the packages that this machine's apt knows; and the same with Python, which asks where this machine's pip does. Those that are there are kept:
# `docker --host unix:///run/tmdocker.sock image rm` makes room for new ones while this runs.
bases() {
  daemon
  local made=$folder/base
  mkdir -p "$made"
  if ! docker image inspect "tm/debian:$release" >/dev/null 2>&1; then
    rm -rf "$made/debian"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$made/debian" "$(mirror)"
    tar --create --directory "$made/debian" . | docker import - "tm/debian:$release"
    rm -rf "$made/debian"
  fi
  # No part of an image that is made: what it fetches is copied out of it.
  cp -L /etc/ssl/certs/ca-certificates.crt "$made/"
  cat /etc/pip.conf >"$made/pip.conf" 2>/dev/null || : >"$made/pip.conf"
  docker build --network host --tag "tm/python:$release" --file - "$made" <<END
FROM tm/debian:$release
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-pip && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt pip.conf /machine/
ENV PIP_CONFIG_FILE=/machine/pip.conf PIP_CERT=/machine/ca-certificates.crt PIP_BREAK_SYSTEM_PACKAGES=1 SSL_CERT_FILE=/machine/ca-certificates.crt
END
}

# Where this machine's apt has the release from.
mirror() {
  # shellcheck disable=SC2016 # apt-get has variables of its own.
  apt-get indextargets --format '$(REPO_URI)' "Codename: $release" 'Created-By: Packages' | sed -n 1p
}

# Ours, of the programs that are built already.
images() {
  daemon
  make --directory "$root" images IMAGES="${images[*]}" PROGRAMS=prebuilt BASE_IMAGE="tm/debian:$release" PYTHON_IMAGE="tm/python:$release" ARGS="--network host"
}

# Those of others that the cluster needs: what holds a pod's network, and Consul.
others() {
  daemon
  python3 "$root/setup/fetch.py" consul
  local binaries=$cache/consul-$consul/bin
  docker build --tag tm/pause:1 - <<END
FROM tm/debian:$release
ENTRYPOINT ["/bin/sleep", "infinity"]
END
  docker build --tag "consul:$consul" --file - "$binaries" <<END
FROM tm/debian:$release
COPY consul /bin/consul
END
}

# Every image's name.
names() {
  local image
  for image in "${images[@]}"; do echo "torchmesh-$image:$version"; done
  printf '%s\n' tm/pause:1 "consul:$consul"
}

# As up.sh gives them to its nodes.
archives() {
  daemon
  mkdir -p "$folder/images"
  rm -f "$folder"/images/*
  local name
  for name in $(names); do
    docker save --output "$folder/images/draft" "$name"
    mv "$folder/images/draft" "$folder/images/$(echo "${name%%:*}" | tr / -).tar"
  done
}

# As values.yaml names them; the second version of minilm is the first again. Links are followed, and everybody may read.
models() {
  local version
  for version in 1 2; do
    mkdir -p "$folder/models/minilm/$version"
    cp -L "$models/minilm/1/model.pt" "$models/minilm/1/tokenizer.json" "$folder/models/minilm/$version/"
  done
  mkdir -p "$folder/models/smollm2/1"
  cp -L "$models/smollm2/1/model.gguf" "$folder/models/smollm2/1/"
  chmod -R a+rX "$folder/models"
}

# For README.md.
sizes() {
  daemon
  printf '| image | MB |\n|---|---|\n'
  local image bytes
  for image in "${images[@]}"; do
    bytes=$(docker image inspect --format '{{.Size}}' "torchmesh-$image:$version")
    printf '| %s | %s |\n' "$image" $(((bytes + 500000) / 1000000))
  done
}

for step in "${steps[@]}"; do
  case $step in
    packages | bases | images | others | archives | models | sizes) "$step" ;;
    *)
      echo "error: there is no step $step" >&2
      exit 64
      ;;
  esac
done
