#!/usr/bin/env bash
# N workers on this machine, over loopback:
#   scripts/run_multi_worker.sh 2 train --flagfile=flags/bas_vgg16.cfg --data_dir=records/cub --run_dir=runs/bas
#   scripts/run_multi_worker.sh 2 evaluate --run_dir=runs/bas
# The first worker speaks here, the others into files of the folder LOGS (default: a new one under /tmp). CPU cores are
# shared out. With RESTARTS=5 all workers are started again, five times at most, when one of them dies: a training goes on
# from its last checkpoint, as it does under srun --requeue or Kubernetes. SIGTERM and Ctrl-C reach every worker as
# SIGTERM: a training saves and ends with status 4. Other statuses: the first that a worker ended with.
set -euo pipefail
usage="scripts/run_multi_worker.sh WORKERS train|evaluate FLAGS..."
workers=${1:?$usage} command=${2:?$usage}
shift 2
source "$(dirname "$0")/environment.sh"
environment ""
logs=${LOGS:-$(mktemp -d /tmp/e2wsol-workers.XXXXXX)}
mkdir -p "$logs"
cores=$("$PYTHON" -c "import os; print(max(1, len(os.sched_getaffinity(0)) // $workers))")
export TF_NUM_INTRAOP_THREADS=${TF_NUM_INTRAOP_THREADS:-$cores} # what each worker's TensorFlow uses of the machine
pids=() stopped=

tell() { # SIGNAL
  local pid
  for pid in "${pids[@]}"; do kill "-$1" "$pid" 2>/dev/null || true; done
}
trap 'stopped=1; tell TERM' TERM INT
trap 'tell KILL' EXIT

free_ports() {
  "$PYTHON" - "$workers" <<'END'
import socket, sys
sockets = [socket.create_server(("localhost", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
END
}

work() { # INDEX FLAGS...; in the background
  export TF_CONFIG="{\"cluster\": {\"worker\": [${addresses:1}]}, \"task\": {\"type\": \"worker\", \"index\": $1}}"
  [ "$1" -eq 0 ] || exec >>"$logs/worker-$1.txt" 2>&1
  exec "$PYTHON" -m "e2wsol.$command" "${@:2}" --strategy=multi_worker_mirrored
}

start() { # FLAGS...; fills pids
  local ports addresses index
  read -ra ports <<<"$(free_ports)"
  addresses=$(printf ',"localhost:%s"' "${ports[@]}")
  pids=()
  for ((index = 0; index < workers; index++)); do
    work "$index" "$@" &
    pids+=($!)
  done
}

finish() { # waits for all workers; returns the first status that is not 0. When one dies, the others have 30 seconds.
  local status=0 code index left=${#pids[@]} grace=150
  while [ "$left" -gt 0 ]; do
    sleep 0.2
    for index in "${!pids[@]}"; do
      kill -0 "${pids[index]}" 2>/dev/null && continue
      code=0
      wait "${pids[index]}" || code=$?
      if [ "$code" -ne 0 ] && [ "$status" -eq 0 ]; then
        status=$code
        [ -n "$stopped" ] || echo "== worker $index ended with status $code" >&2
        [ "$index" -eq 0 ] || [ "$code" -gt 128 ] || tail -n 3 "$logs/worker-$index.txt" >&2 # killed, it said nothing
      fi
      unset "pids[index]"
      left=$((left - 1))
    done
    [ "$status" -eq 0 ] || grace=$((grace - 1))
    [ "$grace" -gt 0 ] || tell KILL
  done
  return "$status"
}

echo "== $workers workers; those behind the first write to $logs"
for ((again = ${RESTARTS:-0}; ; again--)); do
  start "$@"
  status=0
  finish || status=$?
  # Status 2 is a wrong flag or file: the next start would end like this one. Status 4 is what somebody asked for.
  [ "$status" -ne 0 ] && [ "$status" -ne 2 ] && [ "$status" -ne 4 ] && [ -z "$stopped" ] && [ "$again" -gt 0 ] || exit "$status"
  echo "== starting all workers again ($again more times at most)"
done
