"""A trained method at another input size."""

from e2wsol.errors import UserError


def at_image_size(method, size):
    """The method with its weights for pictures of `size` pixels a side; itself where that is its size.

    Raises:
      UserError: the network cannot be built at that size, or has weights whose shape goes with the size.
    """
    if size == method.image_size:
        return method
    try:
        resized = type(method).from_config({**method.get_config(), "image_size": size})
        resized.set_weights(method.get_weights())
    except ValueError as error:
        raise UserError(f"a network trained at {method.image_size} pixels cannot take {size} ({error})") from None
    return resized
