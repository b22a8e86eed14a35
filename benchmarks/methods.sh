#!/bin/sh
# The tables of docs/training.md for one data set: every method of both papers, trained on the same 20,000 images for ten
# epochs, then held to FGSM, PGD and SPSA on the same 200 test images. Cut down to about 40 minutes on one core.
#
#   ADVTOOL_DATA=folder sh benchmarks/methods.sh mnist 0.3 8/255
#   ADVTOOL_DATA=folder sh benchmarks/methods.sh fashion-mnist 0.1 4/255
#   python benchmarks/methods_table.py results/methods/*.json
set -eu
dataset=$1 fitted=$2 stated=$3

measure() { # name, recipe and options of the training; what is finished is kept
    name="$dataset-$1"
    shift
    checkpoint="checkpoints/methods/$name.safetensors"
    [ -e "$checkpoint" ] || advtool train "$@" --dataset "$dataset" --limit 20000 --epochs 10 --seed 0 --output "$checkpoint"
    advtool eval --checkpoint "$checkpoint" --images 200 --seed 0 --format json \
        --output "results/methods/$name.json" --run-dir "runs/methods/$name"
}

for recipe in rfgsm nfgsm; do
    measure "$recipe-fitted" $recipe --eps "$fitted"
    measure "$recipe-pnil-fitted" $recipe --pnil --eps "$fitted"
done
for bias in naive multimodal; do
    measure "apb-$bias-descent" apb --bias $bias --eps "$fitted"
    measure "apb-$bias-ascent" apb --bias $bias --apb-direction ascent --apb-eps 0.2 --eps "$fitted"
done
for recipe in fgsm r+fgsm pgd; do
    measure "$recipe-fitted" $recipe --eps "$fitted"
done
for recipe in rfgsm nfgsm; do
    measure "$recipe-stated" $recipe --eps "$stated"
    measure "$recipe-pnil-stated" $recipe --pnil --eps "$stated"
done
