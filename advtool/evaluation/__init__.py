"""Runs that tell how robust a model really is: verified examples, and accuracies with their uncertainty."""
