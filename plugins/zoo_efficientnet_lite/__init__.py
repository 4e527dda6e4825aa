"""EfficientNet-Lite, mobile networks without squeeze-and-excitation: Liu, 2020, after Tan and Le, 2019."""
