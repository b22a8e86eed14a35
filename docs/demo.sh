#!/bin/sh
# `make demo`: the commands a user would type, echoed as they run. Nothing is downloaded.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

echo "Two LeNets on real images (scikit-learn's handwritten digits): one trained on clean images,"
echo "one on clean images and FGSM examples. How robust are they really?"
run advtool train clean --dataset digits
run advtool train both --dataset digits
run advtool eval --checkpoint checkpoints/digits-lenet-clean-s0.safetensors
run advtool eval --checkpoint checkpoints/digits-lenet-both-s0.safetensors
