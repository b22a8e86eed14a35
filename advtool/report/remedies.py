"""What to do about each warning of a run, by its code (docs/warnings.md shows a model that earns each).

Commands stand between backticks.
"""

AUDIT = "`advtool eval --attack audit`"

REMEDIES = {
    "gradient-free-beats-gradient": "Quote the worst case, never the accuracy under a gradient attack alone. Find what "
    "hides the gradient (rounding, a clamp, a custom backward), and attack the model without it.",
    "margin-beats-cross-entropy": "Quote the worst case, or attack with pgd-margin. Large logits round the softmax to "
    "1: look at their scale, for example at a bias or a temperature inside the model.",
    "temperature-beats-cross-entropy": "Quote the worst case, or attack with pgd-temperature. Look at the scale of the "
    "logits.",
    "smoothing-beats-plain-gradient": "Quote the worst case, and attack with pgd-smooth. Look for something in the "
    "model that makes the loss rough.",
    "straight-through-beats-plain-gradient": "Quote the worst case. Attack with pgd-straight, which takes rounding and "
    "clamping for the identity, or take them out of the model.",
    "one-step-beats-many-step": f"Do not quote either alone: run {AUDIT}, and quote its worst case. If the model was "
    "trained with one-step examples, train with PGD or look for a collapse in the epochs of `advtool show`.",
    "noise-beats-gradient": "Do not trust gradient attacks here. Check that the gradient is that of the model, and "
    "quote attacks without gradients: square, spsa.",
    "transfer-beats-white-box": "Quote the worst case with a surrogate. What hides the gradient does not stop "
    "examples of other models.",
    "search-far-below-pgd": "Quote the worst case of the audit, not PGD.",
    "survives-half-the-range": f"No figure of PGD counts here. Quote the worst case of {AUDIT}, and look for what "
    "misleads the gradient.",
    "accuracy-rises-with-eps": f"PGD fails at the larger eps: do not quote its curve. Run {AUDIT} at each eps.",
    "label-leaking": "Do not report accuracy on one-step examples. Quote PGD or the worst case.",
    "planted-missed": f"The attacks are too weak for this model: add steps and restarts, or run {AUDIT}, until they "
    "find what is planted.",
    "noise-breaks-it": "Choose a smaller eps, one that random noise does not reach. At this one a low accuracy says "
    "little of adversaries.",
    "random-model": "Nothing is wrong. Say in your report how many draws were taken; `advtool sweep eot` tells whether "
    "they are enough.",
    "too-few-draws": "Leave out --eot and --votes: a random model then gets 20 draws.",
    "noise-once-a-call": "Draw the noise for each image, if you can: then draws take fewer calls.",
    "batch-dependent": "Check that the model is in eval mode and uses no statistics of the batch. Deploy it as it was "
    "evaluated.",
    "probabilities": "Return logits: take the softmax or sigmoid out of the model, and evaluate again.",
    "gradient-in-forward": "Attack the model with an attack made for it, which goes through that gradient.",
    "no-gradient": "Trust square, spsa, noise and transfer alone. Better give a model without the operation that "
    "breaks the gradient.",
    "undefined-gradient": "Look for torch.where with a division or a logarithm in the branch that is not taken, and "
    "mend it; until then trust square and spsa.",
    "zero-gradient": "Look for rounding, a threshold or a saturated activation. Trust square, spsa and pgd-straight.",
    "ends-ignored": "Take the clamp out of the model (images lie in [0, 1] anyway), or trust pgd-straight and square.",
    "keeps-state": "Nothing to do: the state was put back. Check that the model is meant to change while it predicts.",
    "train-mode": "Call model.eval() before you hand it over, so that dropout and batch norm do what you expect.",
    "narrow-images": "Give images in [0, 1] once: do not divide by 255 twice, and leave normalisation to --mean and "
    "--std.",
    "low-clean-accuracy": "Run `advtool check`: it tries the usual mistakes (order of classes, channels, --mean and "
    "--std). The figures mean little before that.",
    "no-answer": "Look in the model for a division by zero, a logarithm or root of what may be 0, or an overflow, and "
    "mend it: these images lower every accuracy, and no attack has anything to do with it.",
    "not-certifiable": "Nothing is proved; that is no sign of weakness. For proofs give a model of linear layers, "
    "convolutions and ReLUs.",
    "not-plantable": "Look at why the logits do not move; the planted examples say nothing of these images.",
    "worst-case-below-pgd": "Quote the worst case.",
    "not-converged": "Raise --budget, e.g. to 4, until this warning is gone: more images may fall.",
}
