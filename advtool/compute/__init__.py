"""How tensors are computed: precision, memory, faster layers."""
