"""Where faces come from: CelebA files, packed arrays, folders, rendered heads."""
