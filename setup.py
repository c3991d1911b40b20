"""Install with ``pip install -e .`` (development: ``pip install -e '.[test]'``)."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = next(
    line.split('"')[1]
    for line in (here / "ofhkit/runtime/version.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="ofhkit",
    version=version,
    description="Obscured face hallucination: a 16x16 face with a hole in it becomes a complete 128x128 face.",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["ofhkit", "ofhkit.*"]),
    package_data={"ofhkit": ["py.typed", "assets/**/*", "ops/kernels/*", "restoration/page/*.*"]},
    install_requires=[
        "torch>=2.6",
        "torchvision",  # lpips imports it; pip pairs it with torch
        "mmengine>=0.10.5",
        "mmcv-lite>=2.1",
        "numpy>=1.24",
        "opencv-python",
        "pillow",
        "scipy>=1.15",
        "matplotlib",
        "rich",
        "filelock",
        "packaging",
        "lpips>=0.1.4",
        "safetensors>=0.4",
    ],
    extras_require={
        "test": ["pytest", "pytest-benchmark", "hypothesis", "scikit-image", "ruff"],
        "docs": ["mkdocs-material>=9.5", "mypy"],
        "export": ["onnx", "onnxscript", "onnxruntime"],
        "demo": ["gradio>=6"],
        "browser": ["gradio>=6", "playwright"],  # playwright drives the system's Chromium
    },
)
