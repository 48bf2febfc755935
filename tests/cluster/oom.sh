#!/usr/bin/env bash
# oom.sh CONTAINER-ID: takes all memory that a container may have, from inside its control group, so that the kernel kills the container's own process.
# For the cluster of up.sh, whose control groups are on this machine (cgroup v1).
set -euo pipefail
container=${1#containerd://}
for socket in /run/tmn1.sock /run/tmn2.sock; do
  process=$(ctr --address "$socket" --namespace k8s.io tasks list | awk -v id="$container" '$1 == id { print $2 }')
  [ -n "$process" ] && break
done
group=/sys/fs/cgroup/memory$(awk -F: '$2 == "memory" { print $3 }' "/proc/$process/cgroup")
# It ends with the container, of which it is a part.
python3 - "$group" "$process" 2>/dev/null <<'END' || true
import os, sys
group, process = sys.argv[1], sys.argv[2]
open("/proc/self/oom_score_adj", "w").write("-1000")
open(f"{group}/cgroup.procs", "w").write(str(os.getpid()))
held = []
while os.path.exists(f"/proc/{process}"):
    held.append(bytearray(os.urandom(1 << 20) * 16))
END
[ ! -e "/proc/$process" ]
