# The parts of up.sh.
# shellcheck shell=bash disable=SC2154

# Runs a command in a network namespace. The mounts stay the machine's: kubelets and containerd have to see each other's.
inside() {
  local namespace=$1
  shift
  nsenter "--net=/run/netns/$namespace" "$@"
}

# start NAME NAMESPACE COMMAND…: in the background, unless it runs already.
start() {
  local name=$1 namespace=$2
  shift 2
  if [ -e "$run/$name.pid" ] && kill -0 "$(cat "$run/$name.pid")" 2>/dev/null; then return; fi
  # Without a shell of its own in between, so that it is the process whose id is kept.
  nsenter "--net=/run/netns/$namespace" setsid "$@" >>"$logs/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
}

network() {
  [ -e /run/netns/tmkube ] && return
  ls /run/netns >"$run/namespaces.before" 2>/dev/null || true
  ip netns add tmkube
  ip -n tmkube link set lo up
  ip -n tmkube link add br0 type bridge
  ip -n tmkube address add 172.30.0.1/24 dev br0
  ip -n tmkube link set br0 up
  # Cluster addresses that nobody has declared end here.
  ip -n tmkube route add blackhole 10.96.0.0/16
  local number
  for number in 1 2; do
    ip netns add "tmn$number"
    ip -n "tmn$number" link set lo up
    ip link add "tmv$number" netns tmkube type veth peer name eth0 netns "tmn$number"
    ip -n tmkube link set "tmv$number" master br0 up
    ip -n "tmn$number" address add "172.30.0.1$number/24" dev eth0
    ip -n "tmn$number" link set eth0 up
    # To the other node's pods; and everything else ends in the first namespace, which passes nothing on.
    ip -n "tmn$number" route add "10.244.$((3 - number)).0/24" via "172.30.0.1$((3 - number))"
    ip -n "tmn$number" route add default via 172.30.0.1
    ip -n tmkube route add "10.244.$number.0/24" via "172.30.0.1$number"
    inside "tmn$number" sysctl --quiet --write net.ipv4.ip_forward=1
  done
}

# An authority, what the API server shows, and an administrator.
certificates() {
  [ -e "$folder/admin.kubeconfig" ] && return
  local pki=$run/pki
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tmkube -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  certificate apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:172.30.0.1,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin "extendedKeyUsage=clientAuth"
  KUBECONFIG=$folder/admin.kubeconfig "$bin/kubectl" config set-cluster tm --server https://172.30.0.1:6443 --certificate-authority "$pki/ca.crt" --embed-certs >/dev/null
  KUBECONFIG=$folder/admin.kubeconfig "$bin/kubectl" config set-credentials admin --client-certificate "$pki/admin.crt" --client-key "$pki/admin.key" --embed-certs >/dev/null
  KUBECONFIG=$folder/admin.kubeconfig "$bin/kubectl" config set-context tm --cluster tm --user admin >/dev/null
  KUBECONFIG=$folder/admin.kubeconfig "$bin/kubectl" config use-context tm >/dev/null
}

certificate() {
  local pki=$run/pki
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$pki/$1.key" -out "$pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 -extfile <(echo "$3") -out "$pki/$1.crt" 2>/dev/null
}

dns() {
  cat >"$run/Corefile" <<END
.:53 {
  bind 172.30.0.1
  errors
  cache 2
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $folder/admin.kubeconfig tm
    ttl 2
  }
}
END
  start coredns tmkube "$bin/coredns" -conf "$run/Corefile"
  echo "nameserver 172.30.0.1" >"$run/resolv.conf"
}

# node NAME ADDRESS PREFIX: containerd, a kubelet and kube-proxy, in a namespace of their own.
node() {
  local name=$1 address=$2 prefix=$3 own=$run/$1 namespace=tm$1
  mkdir -p "$own/cni" "$own/manifests" "$own/pods"
  cat >"$own/cni/10-bridge.conflist" <<END
{"cniVersion": "1.0.0", "name": "tm", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$own/addresses", "ranges": [[{"subnet": "$prefix.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
END
  cat >"$own/containerd.toml" <<END
version = 2
root = "$own/containerd"
state = "/run/tm$name"
oom_score = 0
[grpc]
  address = "/run/tm$name.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "tm/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$own/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
END
  cat >"$own/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $run/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
clusterDNS: [172.30.0.1]
clusterDomain: cluster.local
resolvConf: $run/resolv.conf
containerRuntimeEndpoint: unix:///run/tm$name.sock
failSwapOn: false
oomScoreAdj: 0
podLogsDir: $own/pods
staticPodPath: $own/manifests
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
shutdownGracePeriod: 0s
END
  cat >"$own/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $folder/admin.kubeconfig}
hostnameOverride: $name
mode: iptables
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
  start "containerd-$name" "$namespace" containerd --config "$own/containerd.toml"
  until ctr --address "/run/tm$name.sock" version >/dev/null 2>&1; do sleep 0.3; done
  local archive
  for archive in "$folder"/images/*.tar; do
    ctr --address "/run/tm$name.sock" --namespace k8s.io images import --digests=false "$archive" >/dev/null
  done
  start "kubelet-$name" "$namespace" "$bin/kubelet" --kubeconfig "$folder/admin.kubeconfig" --config "$own/kubelet.yaml" --root-dir "$own/kubelet" \
    --hostname-override "$name" --node-ip "$address" --cert-dir "$own/pki"
  start "proxy-$name" "$namespace" "$bin/kube-proxy" --config "$own/proxy.yaml"
}

# Room for claims: the nodes share this machine's disk, so that a volume is at home on both.
volumes() {
  cat <<END
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: disk, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: Immediate
END
  # The models of the test, for everybody to read.
  cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: models}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadOnlyMany]
  storageClassName: models
  hostPath: {path: $folder/models}
END
  local number
  for number in 1 2 3 4 5 6; do
    mkdir -p "$run/volumes/$number"
    chmod 0777 "$run/volumes/$number"
    cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk-$number}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: disk
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $run/volumes/$number}
END
  done
}
