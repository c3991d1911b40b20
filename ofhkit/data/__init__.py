"""Where faces come from: CelebA files, packed arrays, folders; and what a method sees of them."""
