"""advtool: train robust image classifiers, and tell how robust any PyTorch classifier really is."""

__version__ = "0.1.0"
