"""Wen & Itti, figure 3b: naive and multimodal biases, the latter with several numbers h of memories. Only drawn.

The text claims that the multimodal structure is better on MNIST and the naive one on Fashion-MNIST (section 5.3).
"""

from collections.abc import Iterator
from dataclasses import replace

from advtool.reproduce import apb
from advtool.reproduce.apb import FGSM, WORST
from advtool.reproduce.registry import Scale
from advtool.reproduce.table import Line, metric, robustness
from advtool.reproduce.verdict import robust

MEMORIES = {Scale.smoke: (2, 8), Scale.cpu: (1, 2, 4, 8, 16, 32), Scale.paper: (1, 2, 4, 8, 16, 32, 64, 128)}
"""The paper does not list the numbers of its figure."""
NAIVE, MULTIMODAL = "naive, descent", "multimodal, descent"


def lines(scale: Scale, dataset: str) -> Iterator[Line]:
    """Each structure; the one claims that the paper calls better, the multimodal one with the best h in validation."""
    cells = apb.cells(scale) | {"FGSM in validation": metric("one_step_accuracy")}
    trained = {h: apb.lenet(scale, dataset, bias=MULTIMODAL, h=h) for h in MEMORIES[scale]}
    models = (apb.lenet(scale, dataset, bias=NAIVE),)
    naive = Line(labels=(dataset, NAIVE), cells=cells, models=models)
    best = replace(
        naive,
        labels=(dataset, "multimodal, h by validation"),
        models=tuple(trained.values()),
        chosen_by="one_step_accuracy",
    )
    better, other = (naive, best) if dataset == "fashion-mnist" else (best, naive)
    claim = robustness([(better, other)], FGSM, "audited")
    yield replace(naive, evidence=claim if better is naive else {})
    for h, model in trained.items():
        yield replace(naive, labels=(dataset, apb.title(MULTIMODAL, h)), models=(model,))
    yield replace(best, evidence=claim if better is best else {})


TABLE = apb.table(
    name="apb-fig3b",
    claim="Under FGSM at eps 0.3 the multimodal bias is better than the naive one on MNIST, the naive one better on "
    "Fashion-MNIST; the number of bias memories matters.",
    rule=robust,
    label_columns=("data set", "LeNet"),
    lines=lines,
    bars=((FGSM,), (WORST,)),
    notes=(
        "The paper's values are only drawn and are blank; nor does it list its h. The verdict stands at the "
        "structure that it calls better; its baseline is the other one. The multimodal structure is judged with the "
        "h of the best FGSM accuracy on the validation images. Digits stand in for MNIST.",
    ),
)
