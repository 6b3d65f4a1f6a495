"""Large: one array of any size, random numbers that no compression makes smaller."""
