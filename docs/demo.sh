#!/bin/sh
# `make demo`: the commands that a user would type, echoed as they run, in the folder demo/. Nothing is downloaded.
set -eu
mkdir -p demo
cd demo
rm -rf runs

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

echo "Three small networks on real images, scikit-learn's handwritten digits. One learned from clean images, one from"
echo "adversarial examples of one step (FGSM), one from those of ten steps (PGD). Which is robust?"
for recipe in clean fgsm pgd; do
    run advtool train "$recipe" --arch cnn --eps 0.2 --epochs 30 --output "$recipe.safetensors"
done
for recipe in clean fgsm pgd; do
    run advtool eval --checkpoint "$recipe.safetensors" --images 200 --run-dir "runs/$recipe"
done
run advtool compare runs/clean runs/fgsm runs/pgd
run advtool report runs/clean runs/fgsm runs/pgd
cat <<'END'

How to read it: under one step, FGSM, network 2 looks as robust as network 3. PGD takes more steps, and much of that is
gone: it was trained against the weak attack alone. The worst case counts the images that survive every attack.

  the page        demo/report.html, for a browser
  a hard look     cd demo && ../.venv/bin/advtool eval --checkpoint pgd.safetensors --attack audit
  your own model  docs/quickstart.md
END
