"""The geometry of the problem: a 16x16 face with a hole of less than a quarter becomes a 128x128 face.

Reference: arXiv 1811.04645, Section 4.1.
"""

LR_SIZE = 16
SCALE = 8
HR_SIZE = LR_SIZE * SCALE
MIN_HOLE, MAX_HOLE = 17, 63  # pixels of the LR face: more than 1/16, less than 1/4 of it
