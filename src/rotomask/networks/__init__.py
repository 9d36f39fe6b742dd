"""Neural networks as `nn.Module`s, one file each: tensors to tensors, no state of a video."""
