"""Over runs: sweeps, comparisons, several seeds, examples classified again."""
