"""The claims of the two papers: what each says, how we read it, which rows speak of it, and what would change it."""

from dataclasses import dataclass

from advtool.reproduce.apb_readings import PLACES
from advtool.reproduce.pnil_readings import KEPT

DESCENT = ("naive, descent", "multimodal h=8, descent")
ASCENT = ("naive, ascent", "multimodal h=8, ascent")
BIASES = (*DESCENT, *ASCENT)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of a paper, and which rows of a table speak of it."""

    title: str
    says: str
    """what the paper says, and where"""
    reading: str
    """how we read it, where its text leaves a choice"""
    table: str
    rows: tuple[tuple[str, ...], ...]
    """labels without the data set; a row is shown if these are its last ones"""
    columns: tuple[str, ...]
    gains: tuple[tuple[str, str], ...] = (("gain", "gain under FGSM"),)
    """what the rule reads, by its name in the evidence, and how it is called here; in points"""
    would_change: str
    """what would change the verdict"""


APB = [
    Claim(
        title="Clean training with the bias withstands FGSM",
        says="LeNet trained on clean images alone keeps 98.88 % under FGSM at eps 0.3 on MNIST and 53.88 % on "
        "Fashion-MNIST, without the bias 18.08 and 11.87 % (section 5.2).",
        reading="Algorithm 2 to the letter: the sign of the gradient goes down the loss, in every fully connected "
        "layer, 0.03 a step; ascent stands beside it where it was measured.",
        table="apb-fig2",
        rows=tuple(("clean", "", name) for name in ("classical", *BIASES)),
        columns=("clean", "FGSM on examples", "worst case"),
        would_change="A reading of the update under which a LeNet trained on clean images keeps half of its accuracy "
        "under FGSM, and the audit finds no masking. Or the authors' code.",
    ),
    Claim(
        title="The same, by other readings of Algorithm 2",
        says="As above.",
        reading="The text leaves open the direction, the size of the step, whether the optimizer takes it, which "
        "optimizer, which structure and which layers: 128 readings ([apb-search](night/apb-search-mnist.md)), of which "
        "validation images chose the two with the most FGSM accuracy. These are trained in full beside the default.",
        table="apb-readings",
        rows=tuple((name,) for name in ("classical", *DESCENT, *PLACES.values())),
        columns=("clean", "FGSM on examples", "worst case", "certified", "planted"),
        would_change="A reading that we did not think of; more epochs or other seeds in the search, which has one.",
    ),
    Claim(
        title="The bias raises clean accuracy where adversarial examples train",
        says="97.72 instead of 95.54 % on MNIST, 71.54 instead of 65.64 % on Fashion-MNIST (section 5.2).",
        reading="Fixed examples, as the paper calls its own, are made once from the classical LeNet; examples made on "
        "the fly stand beside them.",
        table="apb-fig2",
        rows=tuple(("adv", how, name) for how in ("fixed", "on the fly") for name in ("classical", *DESCENT)),
        columns=("clean", "FGSM on examples", "worst case"),
        gains=(("clean", "gain, clean"), ("gain", "gain under FGSM")),
        would_change="More seeds, where the interval holds 0; how the paper's examples were made.",
    ),
    Claim(
        title="On both kinds of images the bias raises both accuracies",
        says="Slightly, by 0.04 to 0.61 points (section 5.2).",
        reading="As above.",
        table="apb-fig2",
        rows=tuple(("both", how, name) for how in ("fixed", "on the fly") for name in ("classical", *DESCENT)),
        columns=("clean", "FGSM on examples", "worst case"),
        gains=(("clean", "gain, clean"), ("gain", "gain under FGSM")),
        would_change="Ten seeds or more: the gains that the paper states are smaller than what one seed can show.",
    ),
    Claim(
        title="At small eps clean training with the bias is moderately robust",
        says="Up to eps 0.15 (section 5.3, figure 3a).",
        reading="The mean gain over eps 0.05, 0.1 and 0.15, under FGSM and in the worst case; shown is eps 0.15.",
        table="apb-fig3a",
        rows=tuple((name, "0.15") for name in ("classical", *BIASES)),
        columns=("FGSM on examples", "PGD-50", "worst case"),
        gains=(("gain", "mean gain under FGSM"), ("worst case", "mean gain, worst case")),
        would_change="A gain whose whole interval is above 0 in the worst case.",
    ),
    Claim(
        title="The better structure depends on the data set",
        says="Multimodal on MNIST, naive on Fashion-MNIST, under FGSM at 0.3 (figure 3b).",
        reading="The number h of memories by validation images.",
        table="apb-fig3b",
        rows=(("naive, descent",), ("multimodal, h by validation",)),
        columns=("clean", "FGSM on examples", "worst case"),
        would_change="A structure that keeps anything under FGSM at all.",
    ),
    Claim(
        title="The bias takes 59 % of the time of training on both",
        says="On Fashion-MNIST, against one adversarial example for each clean one (section 5.2).",
        reading="With fixed examples, whose making is not counted, and with examples made on the fly.",
        table="apb-time",
        rows=tuple(("clean", "", name) for name in DESCENT),
        columns=("of both, fixed", "of both, on the fly"),
        would_change="Another device: here an epoch is one thread of a CPU.",
    ),
]
PNIL_NAMES = ("RFGSM", "RFGSM + PNIL", "NFGSM", "NFGSM + PNIL")
PNIL = [
    Claim(
        title="PNIL raises effective robustness, and no gradient is obfuscated",
        says="Five of six cases are higher, four significantly at 0.003 (section 5.2, table 1).",
        reading="At the eps that fit table 1 (0.3 and 0.1); the stated 8/255 and 4/255 are in the table. Judged is the "
        "minimum over PGD-50 and SPSA on the same images.",
        table="pnil-table1",
        rows=tuple((name,) for name in PNIL_NAMES),
        columns=("clean", "SPSA", "PGD-50", "Min", "worst case", "certified"),
        gains=(("gain", "gain, Min"), ("worst case", "gain, worst case")),
        would_change="More audited images, where the interval holds 0; the authors' eps and network.",
    ),
    Claim(
        title="The same, by other readings of the text",
        says="As above.",
        reading="The eps that fit, and the epoch that is tested: the one of the lowest loss (early stopping, section "
        "4.4) or the last. The stated eps are in the table. One repetition of the cross-validation.",
        table="pnil-readings",
        rows=tuple((epoch, name) for epoch in KEPT for name in PNIL_NAMES),
        columns=("clean", "PGD-50, EOT 1", "Min", "worst case", "certified"),
        gains=(("gain", "gain, Min"), ("worst case", "gain, worst case")),
        would_change="All five repetitions.",
    ),
    Claim(
        title="Ten EOT draws are enough",
        says='From ten draws on "only a marginal decline" (section 5.1, figure 4).',
        reading="Marginal: less than 3 points from 10 to 100 draws, on the same images. Shown are 10 and 100.",
        table="pnil-fig4",
        rows=tuple((name, draws) for name in PNIL_NAMES[1::2] for draws in ("10", "100")),
        columns=("PGD-50",),
        gains=(("change", "from 10 to 100 draws"),),
        would_change="More images, where the interval holds -3 points.",
    ),
    Claim(
        title="NFGSM is slightly more robust than RFGSM",
        says="For different eps, especially for weak attacks (section 5.2, figure 5).",
        reading="Without PNIL, under PGD-50 alone, as in the figure; the mean gain over all eps and over the small "
        "ones. Shown is the largest.",
        table="pnil-fig5",
        rows=tuple((name, eps) for name in PNIL_NAMES[::2] for eps in ("0.6", "0.2")),
        columns=("PGD-50",),
        gains=(("all", "gain at all eps"), ("small", "gain at small eps")),
        would_change="More trainings; and the audit, which finds masking in some of these models.",
    ),
    Claim(
        title="One-step training is considerably faster than PGD training",
        says='"By orders of magnitude", by the number of steps (section 6).',
        reading="PGD-7 takes at least twice as long, PGD-40 ten times.",
        table="pnil-time",
        rows=tuple((name,) for name in PNIL_NAMES),
        columns=("PGD-7 takes", "PGD-40 takes"),
        would_change="A network in which the gradient of the input is cheap beside that of the weights.",
    ),
    Claim(
        title="PNIL learns low noise where the objects are",
        says="On MNIST in the centre (section 3.2, figure 1); on CIFAR-10 B is uniform, and the noise follows the "
        "intensity (figure 3, in the table pnil-fig3).",
        reading="The mean standard deviation of the noise in the centre, in the border, on the object and elsewhere.",
        table="pnil-fig1",
        rows=(("NFGSM + PNIL",),),
        columns=("centre", "border", "foreground", "background"),
        would_change="Nothing that we know of.",
    ),
    Claim(
        title="NFGSM with PNIL beats PGD training on CIFAR-10",
        says="59 % under PGD-50, Madry et al.'s training 46 % (section 5.2).",
        reading="Our own PGD-7 training is the reference. There is no verdict below the scale paper.",
        table="pnil-madry",
        rows=(("PGD-7 (Madry et al.)",), ("NFGSM + PNIL",)),
        columns=("clean", "PGD-50", "worst case"),
        would_change="A GPU: ten trainings of the full network on all images.",
    ),
]


def first_of(table: str) -> Claim:
    """The first claim that a table is evidence of."""
    return next(claim for claim in (*APB, *PNIL) if claim.table == table)


PAPERS = {
    "Wen & Itti: the adversarial perturbation bias": APB,
    "Schwinn, Raab & Eskofier: NFGSM and the noise layer": PNIL,
}
