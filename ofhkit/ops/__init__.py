"""Fused upsampling operators: plain reference, exact algebra, Triton kernels; one public function each."""
