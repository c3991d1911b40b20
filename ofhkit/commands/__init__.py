"""What tools and the command line call."""
