"""A mod that fits the server's weights into a station's network, and back.

Nothing of it knows the network: it goes by the names and the shapes of arrays.
"""

from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord
from flwr.clientapp.typing import ClientAppCallable, Mod

Weights = dict[str, np.ndarray]

_STATE = "own-weights"


def overlaid(base: Weights, patch: Weights) -> Weights:
    """Return a copy of some weights in which others stand, as far as these fit.

    Of arrays with the same name, the block that both have is taken over: a longer axis is cut, a
    shorter one filled up with what is there. An array with another number of axes, or a name that
    the base does not have, is left out.
    """
    result = {name: array.copy() for name, array in base.items()}
    for name, array in result.items():
        if name in patch and patch[name].ndim == array.ndim:
            block = common_block(array, patch[name])
            array[block] = patch[name][block]
    return result


def common_block(one: np.ndarray, other: np.ndarray) -> tuple[slice, ...]:
    """Return the part that two arrays with as many axes both have."""
    return tuple(slice(min(lengths)) for lengths in zip(one.shape, other.shape, strict=True))


def shared_part(base: Weights, patch: Weights) -> float:
    """Return which part of some weights others have, too: from 0 to 1."""
    marked = overlaid(
        {name: np.zeros(array.shape) for name, array in base.items()},
        {name: np.ones(array.shape) for name, array in patch.items()},
    )
    return float(
        sum(array.sum() for array in marked.values()) / sum(array.size for array in base.values())
    )


def adapting(new_weights: Callable[[Context], Weights]) -> Mod:
    """Return the mod.

    What a station has and the server has not is kept in `context.state` between messages.

    Parameters
    ----------
    new_weights : Callable[[Context], Weights]
        Makes the weights of a station's network that has learned nothing.
    """

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        received = as_weights(message.content["arrays"])
        own = as_weights(context.state[_STATE]) if _STATE in context.state else new_weights(context)
        message.content["arrays"] = as_record(overlaid(own, received))
        reply = call_next(message, context)
        if reply.has_content() and "arrays" in reply.content:
            trained = as_weights(reply.content["arrays"])
            context.state[_STATE] = as_record(trained)
            reply.content["arrays"] = as_record(overlaid(received, trained))
            metrics: MetricRecord = reply.content["metrics"]
            metrics["shared"] = shared_part(received, trained)
        return reply

    return mod


def as_weights(record: ArrayRecord) -> Weights:
    """Return arrays by name."""
    return {name: array.numpy() for name, array in record.items()}


def as_record(weights: Weights) -> ArrayRecord:
    """Return arrays as Flower sends them."""
    return ArrayRecord({name: Array(array) for name, array in weights.items()})
