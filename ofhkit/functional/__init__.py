"""Pure functions on tensors: no registry, no state. The ground floor."""
