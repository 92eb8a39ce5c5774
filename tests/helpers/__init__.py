"""What test modules share; each imports it from here, none from another test module."""
