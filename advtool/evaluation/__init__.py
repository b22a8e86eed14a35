"""How robust a model really is: runs of shards, verified examples, accuracies with their uncertainty."""
