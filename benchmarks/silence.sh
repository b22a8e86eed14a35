#!/bin/sh
# Does the audit stay silent on models without tricks? Clean, PGD-trained and NFGSM-trained networks, five seeds each,
# audited at eps 0.1. A Markdown table of the masking codes raised goes to stdout; there should be none.
#
#   ADVTOOL_DATA=folder sh benchmarks/silence.sh mnist 5000 6       # data set, training images, epochs
#   sh benchmarks/silence.sh digits 1200 40
set -eu
dataset=$1 limit=$2 epochs=$3
mkdir -p results/silence checkpoints/silence

echo "| model | seed | clean | PGD-50 | worst case | masking codes | other codes |"
echo "|---|---:|---:|---:|---:|---|---|"
for recipe in clean pgd nfgsm; do
    for seed in 0 1 2 3 4; do
        name="$dataset-$recipe-s$seed"
        checkpoint="checkpoints/silence/$name.safetensors"
        [ -e "$checkpoint" ] || advtool train "$recipe" --arch cnn --dataset "$dataset" --limit "$limit" --epochs "$epochs" \
            --eps 0.1 --seed "$seed" --output "$checkpoint" > /dev/null
        advtool eval --checkpoint "$checkpoint" --attack audit --images 200 --format json --run-dir "runs/silence/$name" |
            python -c '
import json, sys
result = json.load(sys.stdin)
percent = lambda accuracy: f"{100 * accuracy:.1f} %"
codes = lambda masking: ", ".join(w["code"] for w in result["warnings"] if (w["kind"] == "masking") == masking) or "none"
pgd = next(attack["accuracy"] for attack in result["attacks"] if attack["name"] == "pgd")
shown = map(percent, (result["clean"]["accuracy"], pgd, result["worst_case"]["accuracy"]))
print("|", " | ".join((sys.argv[1], sys.argv[2], *shown, codes(True), codes(False))), "|", flush=True)' "$recipe" "$seed"
    done
done
