# ---- from here on the same for every job
set -euo pipefail
umask 077
say() { printf 'metaplastic: %s\n' "$*" >&2; }
fail() {
  say "${*:2}"
  exit "$1"
}

ray=$(dirname "$python")/ray
if [ ! -x "$python" ] || [ ! -x "$ray" ]; then
  fail 64 "there is no $python with a ray beside it on $SLURMD_NODENAME; put it on a disk that all nodes see, or set slurm.python"
fi

# The head's address: loopback for one node; otherwise one that this node really has, since Ray would wait for ever.
head_ip=127.0.0.1
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  addresses=$(hostname -I)
  head_ip=${METAPLASTIC_HEAD_IP:-$(tr ' ' '\n' <<<"$addresses" | grep -m1 -E '^[0-9]+(\.[0-9]+){3}$' || true)}
  case " $addresses " in
    *" ${head_ip:-none} "*) ;;
    *) fail 65 "$SLURMD_NODENAME has the addresses '$addresses', not '$head_ip'; set METAPLASTIC_HEAD_IP to one of them" ;;
  esac
fi

# Ports of this job's own, by its number, the first block whose start is free.
slot=$((SLURM_JOB_ID % slots))
for _ in $(seq "$slots"); do
  base=$((first_port + slot * ports))
  (exec 3<>"/dev/tcp/$head_ip/$base") 2>/dev/null || break
  slot=$(((slot + 1) % slots))
done

# A token and a folder of this job's own: Ray opens its folder to all, so it lies in one that only we can enter.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_ADDRESS="$head_ip:$base" RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_TOKEN_PATH
temp=$(mktemp -d "$temp_parent/mp-XXXXXXXX")

noticed='' driver='' head='' joined=''
is_alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
# shellcheck disable=SC2329  # a trap calls it
tidy() {
  code=$?
  trap - EXIT
  if [ "$code" -ne 0 ] && [ -d "$temp/r/session_latest/logs" ]; then
    cp -rL "$temp/r/session_latest/logs" "$logs/$SLURM_JOB_NAME-$SLURM_JOB_ID-ray" && say "Ray's logs: $logs/$SLURM_JOB_NAME-$SLURM_JOB_ID-ray"
  fi
  for process in "$driver" "$joined" "$head"; do is_alive "$process" && kill "$process"; done
  for _ in $(seq 20); do is_alive "$head" || break; sleep 1; done
  rm -rf "$temp"
  exit "$code"
}
# shellcheck disable=SC2329  # a trap calls it
notice() {
  noticed=1
  say "notice from Slurm; the search is asked to save and stop"
  if is_alive "$driver"; then kill -TERM "$driver"; fi
}
trap tidy EXIT
trap 'exit 143' TERM
trap notice USR1

# Ray on every node. Slurm owns these processes, so they end with the job.
node=(--num-cpus="$cpus" --num-gpus="$gpus" --object-store-memory="$store_bytes" --disable-usage-stats --block
  --min-worker-port=$((base + 20)) --max-worker-port=$((base + ports - 1)) --dashboard-agent-listen-port=$((base + 2)))
client=()  # Ray's client server runs where grpc is installed, and only there knows its option
if "$python" -c 'import grpc' 2>/dev/null; then client=(--ray-client-server-port=$((base + 1))); fi
"$ray" start --head --node-ip-address="$head_ip" --port="$base" "${client[@]}" --include-dashboard=false \
  --temp-dir="$temp/r" "${node[@]}" >"$temp/head" 2>&1 &
head=$!
deadline=$((SECONDS + start_seconds))
until "$ray" health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; do
  is_alive "$head" || { cat "$temp/head" >&2 && fail 66 "Ray's head ended at once; its own words stand above"; }
  [ "$SECONDS" -lt "$deadline" ] || fail 66 "Ray's head did not answer at $RAY_ADDRESS within $start_seconds s"
  sleep 1
done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  others=$((SLURM_JOB_NUM_NODES - 1))
  step=(--nodes="$others" --ntasks="$others" --ntasks-per-node=1 --cpus-per-task="$cpus" --exclude="$SLURMD_NODENAME"
    --kill-on-bad-exit=0 --export=ALL)
  # shellcheck disable=SC2016  # expanded by the inner shell, on each node
  srun "${step[@]}" bash -c '
    temp=$1 ray=$2 seconds=$3 && shift 3
    umask 077
    mkdir -m 700 "$temp" 2>/dev/null || [ -O "$temp" ] || exit 73
    until "$ray" health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; do
      [ "$SECONDS" -lt "$seconds" ] || { echo "metaplastic: $SLURMD_NODENAME cannot reach $RAY_ADDRESS" >&2; exit 67; }
      sleep 2
    done
    "$ray" start --address="$RAY_ADDRESS" "$@" >"$temp/$SLURMD_NODENAME" 2>&1 &
    trap "kill $! 2>/dev/null; wait; rm -rf \"$temp\"" TERM EXIT
    wait $! || { tail -n 20 "$temp/$SLURMD_NODENAME" >&2 2>/dev/null; exit 68; }' _ "$temp" "$ray" "$start_seconds" "${node[@]}" &
  joined=$!
fi

# The search; a job that Slurm has begun again goes on with its run, whatever has become of the experiment's file.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ -f "$run/experiment.yaml" ]; then
  command=(resume "$run")
fi
code=0
if [ -z "$noticed" ]; then
  "$python" -m metaplastic "${command[@]}" &
  driver=$!
  wait "$driver" || code=$?
fi

if [ -n "$noticed" ]; then
  deadline=$((SECONDS + notice - 40))
  while is_alive "$driver" && [ "$SECONDS" -lt "$deadline" ]; do sleep 1; done
  if [ -f "$run/champion.yaml" ] && ! is_alive "$driver"; then exit 0; fi
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "$retries" ]; then
    fail 75 "stopped for the last of $((retries + 1)) times; all is saved in $run, submit the job again to go on"
  fi
  say "back to the queue; the search goes on from $run"
  scontrol requeue "$SLURM_JOB_ID" || fail 76 "Slurm does not take the job back; submit it again to go on from $run"
  exit 0
fi
exit "$code"
