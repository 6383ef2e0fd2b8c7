"""Sound as numbers: G.711, tone scripts, telling which frequencies are heard. Pure: no files, no clock."""
