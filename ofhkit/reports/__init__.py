"""What a table, a grid and a report are made of."""
