#!/bin/sh
# The table of docs/results.md for one data set: LeNet trained on clean images, on FGSM examples and on both, at
# eps 0.3 and 0.1, then held to FGSM, PGD and SPSA. About an hour on one core.
#
#   ADVTOOL_DATA=folder sh benchmarks/lenet.sh mnist
set -eu
dataset=$1
for eps in 0.3 0.1; do
    for recipe in clean adv both; do
        checkpoint="checkpoints/$dataset-lenet-$recipe-eps$eps.safetensors"
        advtool train "$recipe" --dataset "$dataset" --eps "$eps" --epochs 10 --seed 0 --output "$checkpoint"
        advtool eval --checkpoint "$checkpoint" --images 300 --seed 0 --format markdown \
            --output "results/$dataset-$recipe-eps$eps.md" --run-dir "runs/$dataset-$recipe-eps$eps"
    done
done
