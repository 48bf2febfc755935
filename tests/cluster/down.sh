#!/usr/bin/env bash
# down.sh FOLDER: ends what up.sh started, and leaves nothing of it but FOLDER/bin and FOLDER/images.
set -uo pipefail
folder=$(realpath "${1:?which folder}")
run=$folder/run

stop() {
  local file
  for file in "$@"; do
    [ -e "$file" ] || continue
    kill "$(cat "$file")" 2>/dev/null
    while kill -0 "$(cat "$file")" 2>/dev/null; do sleep 0.1; done
    rm -f "$file"
  done
}

stop "$run"/kubelet-*.pid "$run"/proxy-*.pid
for name in n1 n2; do
  containers=$(ctr --address "/run/tm$name.sock" --namespace k8s.io tasks list --quiet 2>/dev/null)
  for container in $containers; do ctr --address "/run/tm$name.sock" --namespace k8s.io tasks kill --signal KILL --all "$container" 2>/dev/null; done
done
sleep 2
stop "$run"/containerd-*.pid "$run"/coredns.pid "$run"/scheduler.pid "$run"/controllers.pid "$run"/apiserver.pid "$run"/etcd.pid
grep -E "$run|/run/tmn[12]" /proc/mounts | awk '{ print $2 }' | sort -r | xargs -r umount --lazy
for namespace in tmn1 tmn2 tmkube; do ip netns delete "$namespace" 2>/dev/null; done
rm -rf "$run" "$folder/admin.kubeconfig" /run/tmn1 /run/tmn2 /run/tmn1.sock* /run/tmn2.sock*
