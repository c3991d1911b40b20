#!/bin/sh
# Everything that a GPU is needed to measure: kernels, images a second, training steps.
#   sh tools/benchmark_gpu.sh [FOLDER]      results as Markdown and JSON (default: docs/results)
set -eu
out=${1:-docs/results}
here=$(dirname "$0")
python -c "import torch; assert torch.cuda.is_available(), 'no CUDA device'; print(torch.cuda.get_device_name())"

for precision in float32 bfloat16; do
    python "$here/benchmark.py" ops --device cuda --precision $precision --batch 256 --rounds 20 --compile --out "$out"
    python "$here/benchmark.py" inference --device cuda --precision $precision --batch 1 16 256 --rounds 20 --compile \
        --out "$out"
    python "$here/benchmark.py" train --device cuda --precision $precision --batch 64 256 --rounds 10 --compile \
        --out "$out"
done
python "$here/benchmark.py" inference --device cuda --tf32 --batch 1 16 256 --rounds 20 --compile --out "$out"
python "$here/benchmark.py" train --device cuda --tf32 --batch 64 256 --rounds 10 --out "$out"
