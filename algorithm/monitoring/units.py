"""Quantities as people read them."""


def size(number: float) -> str:
    """Return a number of bytes as people read it: "1.2 MB"."""
    number = max(number, 0)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB" if number < 1e4 else f"{number:.1e} TB"
