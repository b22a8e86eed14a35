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

echo "Two small networks on real images (scikit-learn's handwritten digits): one trained on clean images,"
echo "one on clean images and FGSM examples. How robust are they really?"
run advtool train clean --arch cnn
run advtool train both --arch cnn
run advtool eval --checkpoint checkpoints/digits-cnn-clean-s0.safetensors
run advtool eval --checkpoint checkpoints/digits-cnn-both-s0.safetensors
