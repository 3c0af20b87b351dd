#!/bin/bash
# A real Slurm of two nodes, alone in network, process and mount namespaces of its own; then the command, then nothing.
#   slurm_in_a_namespace.sh FOLDER COMMAND …        FOLDER: short, empty; all state and logs of the daemons lie in it
set -euo pipefail
if [ "${1:-}" != --inside ]; then
  exec unshare --net --pid --fork --mount --uts --mount-proc --kill-child bash "$0" --inside "$@"
fi
folder=$2
shift 2
hostname vm
ip link set lo up
ip link add cluster type veth peer name far  # an address beside loopback, as a node has
ip addr add 10.99.0.1/24 dev cluster
ip link set cluster up
ip link set far up
mkdir -p "$folder/state" "$folder/n1" "$folder/n2"
chmod 755 "$folder"
(umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munge.pid" \
  --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
cat >"$folder/slurm.conf" <<EOF
ClusterName=t
SlurmctldHost=vm(10.99.0.1)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmdPidFile=$folder/%n.pid
SlurmctldPidFile=$folder/ctld.pid
SlurmctldLogFile=$folder/ctld.log
SlurmdLogFile=$folder/%n.log
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
JobRequeue=1
KillWait=5
NodeName=n1 NodeHostname=vm NodeAddr=10.99.0.1 Port=17001 CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname=vm NodeAddr=10.99.0.1 Port=17002 CPUs=2 RealMemory=8000
PartitionName=p Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
EOF
export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd -N n1
slurmd -N n2
for _ in $(seq 60); do
  [ "$(sinfo --noheader --Node --states=idle | wc -l)" -eq 2 ] && exec "$@"
  sleep 1
done
echo "the two nodes did not come up within 60 s" >&2
tail -n 5 "$folder"/*.log >&2
exit 70
