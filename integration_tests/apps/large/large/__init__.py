"""Large: arrays of any size, random numbers that compression makes hardly smaller."""
