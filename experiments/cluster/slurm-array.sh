#!/bin/sh
# A sweep as a Slurm array: each task runs one part of the points, on all cores that it is given.
#
#   sbatch --array=0-9 --cpus-per-task=16 experiments/cluster/slurm-array.sh EXPERIMENT.toml OUT
#   sbatch --dependency=afterok:JOB --wrap 'seatrial merge OUT'
#
# The array is 0 to SHARDS - 1: change both together (SHARDS=50 sbatch --array=0-49 ...). A task that failed
# is run again by itself (sbatch --array=3 ...), with the same SHARDS.
#
# A task that is requeued goes on where it was: what it had finished is in OUT, which must be on a file
# system that all nodes share. Slurm's SIGTERM at the time limit finishes the points in flight.
#SBATCH --job-name=seatrial-sweep
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu
# How many parts there are, however many tasks this array has.
SHARDS=${SHARDS:-10}
case $SHARDS in
'' | *[!0-9]*)
    echo "SHARDS=$SHARDS: must be a number of parts, such as 10" >&2
    exit 2
    ;;
esac
if [ "$SLURM_ARRAY_TASK_ID" -ge "$SHARDS" ]; then
    echo "task $SLURM_ARRAY_TASK_ID: is none of 0 to $((SHARDS - 1)); make SHARDS and --array agree" >&2
    exit 2
fi
exec seatrial sweep "$1" --out "$2" --threads "${SLURM_CPUS_PER_TASK:-1}" \
    --shard "$SLURM_ARRAY_TASK_ID/$SHARDS"
