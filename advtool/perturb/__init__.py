"""Adversarial examples for a training loop of your own: what the recipes train on, as functions of plain tensors.

::

    x_adv = advtool.perturb.nfgsm(model, images, labels, eps=8 / 255)
    loss = cross_entropy(model(x_adv), labels)

Every function takes

- ``model``: maps images to logits (N, classes). It is used in the mode (train or eval) that it is in. Its mode, buffers
  (batch norm statistics, the vectors of a spectral norm, counters), gradients and ``requires_grad`` stay as they were.
- ``images``: float32 or float64 (N, C, H, W) in [0, 1], on the device of the model. Under ``torch.autocast`` they stay
  float32, and the model computes its gradient in the lower precision.
- ``labels``: class indices, integers (N,) from 0 to classes - 1, on the same device.
- ``eps``: the radius in L-infinity, a fraction of the pixel range in (0, 1].
- ``eot``: how many gradients are summed for a step, each with its own draw of a random model's noise.
- ``generator``: on the device of the images, the source of the examples' own noise; None is torch's global one. The
  noise inside a model always comes from the global one.

It returns images like the given ones, in [0, 1], without a graph. L is the cross entropy of an image.

Wrong arguments raise :class:`~advtool.errors.InputError` in one line. Where a gradient is NaN its sign counts as 0, and
no step follows it: a ``RuntimeWarning`` at the end of the call tells for how much of the gradient. The functions work
under ``torch.no_grad`` and ``torch.inference_mode`` too.
"""

from advtool.perturb.methods import fgsm as fgsm
from advtool.perturb.methods import nfgsm as nfgsm
from advtool.perturb.methods import pgd as pgd
from advtool.perturb.methods import r_fgsm as r_fgsm
from advtool.perturb.methods import rfgsm as rfgsm
