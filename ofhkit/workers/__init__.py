"""Work for light processes: nothing in this package imports torch."""
