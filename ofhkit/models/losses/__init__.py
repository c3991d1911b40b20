"""Loss terms: one formula a file; the names of their arguments say what they need."""
