"""Quantities as people read them."""


def size(number: float) -> str:
    """Return a number of bytes as people read it: "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
