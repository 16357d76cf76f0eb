#!/usr/bin/env bash
# One allocation, one private Ray cluster, one run that resumes. The package is installed in the environment that is active when you submit.
#   ray get-auth-token --generate
#   sbatch --export=ALL,CONFIG=my.yaml,STORE=/shared/unlearning cluster/slurm.sh
#   dmm status --store /shared/unlearning
#SBATCH --job-name=dmm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
#SBATCH --output=dmm-%j.log
#SBATCH --open-mode=append
# Preempted or out of time, the job goes back into the queue; started again it goes on from what is finished.
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
set -euo pipefail
: "${CONFIG:?give the config: sbatch --export=ALL,CONFIG=my.yaml,STORE=/shared/unlearning cluster/slurm.sh}"
: "${STORE:?give a folder that every node mounts, or an object store: STORE=/shared/unlearning}"

# Only who can read the file can use the cluster.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}" RAY_USAGE_STATS_ENABLED=0
if [[ ! -s "$RAY_AUTH_TOKEN_PATH" ]]; then
    echo "no token in $RAY_AUTH_TOKEN_PATH: run 'ray get-auth-token --generate' once" >&2
    exit 2
fi

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# A port of its own for each job, outside those that Ray gives to workers (10002 to 19999).
port=$((20000 + SLURM_JOB_ID % 10000))
# srun does not pass the CPUs of a task on by itself, and the run must be told of the cluster that is started around it.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_PER_TASK" -- \
    env RAY_ADDRESS="$head:$port" python -m jobs.run "$CONFIG" --store "$STORE" &
step=$!

out_of_time() {
    trap '' TERM
    kill -TERM "$step" || true
    wait "$step" || true
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap out_of_time TERM
wait "$step"
