"""From finished pipelines to tables, figures and a report: what ``ofhkit test`` does."""
