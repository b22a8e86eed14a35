"""Studies of several runs: sweeps, comparisons, several seeds, examples classified again."""
