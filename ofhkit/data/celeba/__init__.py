"""CelebA: read, aligned and packed once."""
