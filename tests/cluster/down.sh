#!/usr/bin/env bash
# down.sh FOLDER: ends what up.sh started, and leaves nothing of it but FOLDER/bin and FOLDER/images.
set -uo pipefail
folder=$(realpath "${1:?which folder}")
run=$folder/run

stop() {
  local file
  for file in "$@"; do
    [ -e "$file" ] || continue
    local process tries=0
    process=$(cat "$file")
    kill "$process" 2>/dev/null
    while kill -0 "$process" 2>/dev/null; do
      sleep 0.1
      tries=$((tries + 1))
      [ "$tries" -lt 100 ] || kill -KILL "$process" 2>/dev/null
    done
    rm -f "$file"
  done
}

stop "$run"/kubelet-*.pid "$run"/proxy-*.pid
for name in n1 n2; do
  node=(ctr --address "/run/tm$name.sock" --namespace k8s.io)
  for container in $("${node[@]}" tasks list --quiet 2>/dev/null); do "${node[@]}" tasks delete --force "$container" >/dev/null 2>&1; done
done
stop "$run"/containerd-*.pid "$run"/coredns.pid "$run"/scheduler.pid "$run"/controllers.pid "$run"/apiserver.pid "$run"/etcd.pid
grep -E "$run|/run/tmn[12]" /proc/mounts | awk '{ print $2 }' | sort -r | xargs -r umount --lazy
# Those of pods.
for path in /run/netns/*; do
  namespace=${path##*/}
  case $namespace in cni-*) grep -qx "$namespace" "$run/namespaces.before" || ip netns delete "$namespace" ;; esac
done
for namespace in tmn1 tmn2 tmkube; do ip netns delete "$namespace" 2>/dev/null; done
rm -rf "$run" "$folder/admin.kubeconfig" /run/tmn1 /run/tmn2 /run/tmn1.sock* /run/tmn2.sock*
