NAME          farm
OBJSENSE
    MAX
ROWS
 N  profit
 L  land
 G  least
 E  same
COLUMNS
    wheat  profit  3.0  land  1.0
    wheat  least   1.0  same  1.0
    rye    profit  2.0  land  1.0
    rye    same   -1.0
RHS
    RHS  land  4.0  least  0.5
RANGES
    RNG  same  1.0
BOUNDS
 UP BND  wheat  9.0
ENDATA
