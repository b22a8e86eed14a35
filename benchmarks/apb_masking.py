"""The first paper's figure by another reading of Algorithm 2, for the story in docs/audit.md.

    ADVTOOL_DATA=folder python benchmarks/apb_masking.py lenet-apb.safetensors

A clean LeNet with the multimodal bias whose memories are raised by eps times the sign of their gradient *through* SGD
with momentum, which adds the steps up. Trained for 24 epochs on 10,000 images of MNIST; a little longer, and it
breaks down. The checkpoint is a plain LeNet; audit it with ``advtool eval --attack audit``.
"""

import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from advtool import __version__, checkpoints, models, with_perturbation_bias
from advtool.checkpoints import Architecture, Header
from advtool.data import first_images, load, to_float, train_validation
from advtool.models.bias import collapse, perturbation_parameters
from advtool.threat import ThreatModel

IMAGES, EPOCHS, BATCH_SIZE, EPS_OF_THE_BIAS, SEED = 10_000, 24, 128, 2.0, 0
ARCHITECTURE = Architecture(name="lenet", input_shape=(1, 28, 28), classes=10)


def main(output: Path) -> None:
    torch.manual_seed(SEED)
    training, _ = train_validation(load("mnist", "train"))
    split = first_images(training, IMAGES)
    x, y = to_float(split.images), split.labels
    model = with_perturbation_bias(models.build(ARCHITECTURE), bias="multimodal", memories=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(EPOCHS):
        for index in torch.randperm(IMAGES).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss = cross_entropy(model(x[index]), y[index])
            loss.backward()
            for memories in perturbation_parameters(model):
                memories.grad = -EPS_OF_THE_BIAS * memories.grad.sign()  # ascent
            optimizer.step()
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {loss.item():.3f}", file=sys.stderr)
    header = Header(
        architecture=ARCHITECTURE,
        dataset="mnist",
        recipe={
            "name": "apb",
            "bias": "multimodal",
            "memories": 8,
            "apb_direction": "ascent",
            "optimizer": "SGD 0.01/0.9",
        },
        threat_model=ThreatModel(eps=0.3),
        seed=SEED,
        date=checkpoints.now(),
        versions={"advtool": __version__, "torch": torch.__version__},
        metrics={},
    )
    checkpoints.write(output, header, collapse(model).state_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
