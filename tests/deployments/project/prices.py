"""A helper in a module of its own."""


def with_tax(price: float) -> float:
    return price * 1.07
