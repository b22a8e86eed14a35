"""Planted examples: adversarial examples that surely exist in a changed copy of the model. Do the attacks find them?

The test follows Zimmermann, Brendel, Tramèr and Carlini 2022, "Increasing confidence in adversarial robustness
evaluations".
"""
