"""The field's checklists as data, and the rules that answer them from a result. Nothing is computed on a model here."""
