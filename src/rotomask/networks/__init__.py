"""Networks as `nn.Module`s: tensors in, tensors out."""
