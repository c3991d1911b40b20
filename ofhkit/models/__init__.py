"""The parts of the pipeline, one folder a role."""
