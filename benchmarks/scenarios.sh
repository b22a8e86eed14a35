#!/bin/sh
# The first paper's scenarios adv and both, with and without its bias, on MNIST at eps 0.3: the same 20,000 images for ten
# epochs as methods.sh, then FGSM and PGD-50 on 300 test images. Some minutes on one core.
#
#   ADVTOOL_DATA=folder OMP_NUM_THREADS=1 sh benchmarks/scenarios.sh
#   jq -r '[.checkpoint.path, .clean.accuracy, (.attacks[] | .accuracy, .accuracy_on_examples)] | @tsv' results/scenarios/*.json
set -eu

for variant in both-plain both-naive both-multimodal adv-plain adv-naive; do
    checkpoint="checkpoints/scenarios/mnist-$variant.safetensors"
    [ -e "$checkpoint" ] || advtool train "${variant%-*}" --bias "${variant#*-}" --dataset mnist --eps 0.3 --limit 20000 \
        --epochs 10 --seed 0 --output "$checkpoint"
    advtool eval --checkpoint "$checkpoint" --attack fgsm --attack pgd --images 300 --seed 0 --format json \
        --output "results/scenarios/mnist-$variant.json" --run-dir "runs/scenarios/mnist-$variant"
done
