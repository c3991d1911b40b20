"""A pipeline as one file that needs neither ofhkit nor its configuration: ONNX, torch.export, AOTInductor."""

from ofhkit.export.check import Agreement, Sample, agreement, export, sample, throughput
from ofhkit.export.formats import FORMATS, Exported, load_exported, write
from ofhkit.export.graph import PRECISIONS, graph
from ofhkit.export.web import export_web

__all__ = [
    "FORMATS", "PRECISIONS", "Agreement", "Exported", "Sample", "agreement", "export", "export_web", "graph",
    "load_exported", "sample", "throughput", "write",
]  # fmt: skip
