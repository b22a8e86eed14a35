#!/bin/sh
# The table of docs/results.md for one data set: LeNet trained on clean images, on FGSM examples and on both, at
# eps 0.3 and 0.1, then held to FGSM, PGD and SPSA. About an hour on one core.
#
#   ADVTOOL_DATA=folder sh benchmarks/lenet.sh mnist
set -eu
dataset=$1

evaluate() { # checkpoint, name of the result, further options
    checkpoint=$1 name=$2
    shift 2
    advtool eval --checkpoint "$checkpoint" --images 300 --seed 0 --format markdown \
        --output "results/$name.md" --run-dir "runs/$name" "$@"
}

clean="checkpoints/$dataset-lenet-clean.safetensors"
[ -e "$clean" ] || advtool train clean --dataset "$dataset" --epochs 10 --seed 0 --output "$clean"
for eps in 0.3 0.1; do
    evaluate "$clean" "$dataset-clean-eps$eps" --eps "$eps" # clean training knows no eps
    for recipe in adv both; do
        checkpoint="checkpoints/$dataset-lenet-$recipe-eps$eps.safetensors"
        [ -e "$checkpoint" ] || advtool train "$recipe" --dataset "$dataset" --eps "$eps" --epochs 10 --seed 0 \
            --keep one-step --output "$checkpoint"
        evaluate "$checkpoint" "$dataset-$recipe-eps$eps"
    done
done
