#!/bin/bash
umask 077
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export A='it'"'"'s'
run=/home/ubuntu/runs/digits
mkdir -p "$(dirname "$run")"
timeout --signal=TERM --kill-after=600 21600 ~/metaplastic-env/bin/python -m metaplastic search ~/launch/experiment.yaml execution.workers=2 execution.address=auto execution.device=cuda execution.gpus=1 --out /home/ubuntu/runs/digits --resume >>"$run.log" 2>&1
echo "metaplastic: ended with exit code $?" >>"$run.log"
