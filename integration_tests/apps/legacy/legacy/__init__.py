"""Legacy: an app in Flower's older style, with clients, strategies and components."""
