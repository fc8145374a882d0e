"""Search spaces: a prior measure on points, one space a file."""
