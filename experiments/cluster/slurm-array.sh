#!/bin/sh
# A sweep as a Slurm array: each task runs one part of the points, on all cores that it is given.
#
#   sbatch --array=0-9 --cpus-per-task=16 experiments/cluster/slurm-array.sh EXPERIMENT.toml OUT
#   sbatch --dependency=afterok:JOB --wrap 'seatrial merge OUT'
#
# A task that is requeued goes on where it was: what it had finished is in OUT, which must be on a file
# system that all nodes share. Slurm's SIGTERM at the time limit finishes the points in flight.
#SBATCH --job-name=seatrial-sweep
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu
exec seatrial sweep "$1" --out "$2" --threads "${SLURM_CPUS_PER_TASK:-1}" \
    --shard "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$SLURM_ARRAY_TASK_COUNT"
