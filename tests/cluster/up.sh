#!/usr/bin/env bash
# up.sh FOLDER: a Kubernetes of two nodes on this machine, of the programs that build.sh made, with etcd, containerd and runc of Debian.
#
# Nothing of the machine's own network is touched: the control plane and each node have a network namespace of their own, joined by a bridge in the first.
# There is no way from there to anywhere else. `nsenter --net=/run/netns/tmkube` is the way in; FOLDER/admin.kubeconfig is for kubectl and helm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(realpath "${1:?which folder}")
bin=$folder/bin run=$folder/run logs=$folder/run/logs
mkdir -p "$run" "$logs" "$run/pki"
. "$here/parts.sh"

network
certificates
start etcd tmkube etcd --data-dir "$run/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
start apiserver tmkube "$bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --advertise-address 172.30.0.1 --secure-port 6443 \
  --service-cluster-ip-range 10.96.0.0/16 --authorization-mode Node,RBAC --client-ca-file "$run/pki/ca.crt" \
  --tls-cert-file "$run/pki/apiserver.crt" --tls-private-key-file "$run/pki/apiserver.key" \
  --kubelet-client-certificate "$run/pki/admin.crt" --kubelet-client-key "$run/pki/admin.key" --kubelet-preferred-address-types InternalIP \
  --service-account-key-file "$run/pki/sa.key" --service-account-signing-key-file "$run/pki/sa.key" --service-account-issuer https://kubernetes.default.svc \
  --enable-admission-plugins NodeRestriction --enable-aggregator-routing
until inside tmkube "$bin/kubectl" --kubeconfig "$folder/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1; do sleep 0.5; done
start controllers tmkube "$bin/kube-controller-manager" --kubeconfig "$folder/admin.kubeconfig" --service-account-private-key-file "$run/pki/sa.key" \
  --root-ca-file "$run/pki/ca.crt" --use-service-account-credentials --leader-elect=false
start scheduler tmkube "$bin/kube-scheduler" --kubeconfig "$folder/admin.kubeconfig" --leader-elect=false
dns
node n1 172.30.0.11 10.244.1
node n2 172.30.0.12 10.244.2
for name in n1 n2; do
  until inside tmkube "$bin/kubectl" --kubeconfig "$folder/admin.kubeconfig" wait --for=condition=Ready "node/$name" --timeout=120s 2>/dev/null; do sleep 1; done
done
inside tmkube "$bin/kubectl" --kubeconfig "$folder/admin.kubeconfig" apply -f - < <(volumes)
