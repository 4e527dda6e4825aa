"""Data: a folder, a table or a dataset -> pictures with their classes -> batches of tensors."""

from typing import TYPE_CHECKING

from zoo_core.lazy import handed_on

if TYPE_CHECKING:
    from zoo_core.data.balance import balanced_order as balanced_order
    from zoo_core.data.balance import class_weights as class_weights
    from zoo_core.data.decoding import Files as Files
    from zoo_core.data.decoding import read_picture as read_picture
    from zoo_core.data.mirrors import mirrored_classes as mirrored_classes
    from zoo_core.data.opening import FORMATS as FORMATS
    from zoo_core.data.opening import open_data as open_data
    from zoo_core.data.pictures import Pictures as Pictures
    from zoo_core.data.pictures import is_tensor_item as is_tensor_item
    from zoo_core.data.splitting import per_class as per_class
    from zoo_core.data.splitting import split as split
    from zoo_core.data.splitting import stratified as stratified
else:
    __getattr__, __dir__, __all__ = handed_on(
        __name__,
        {
            "balance": "balanced_order class_weights",
            "decoding": "Files read_picture",
            "mirrors": "mirrored_classes",
            "opening": "FORMATS open_data",
            "pictures": "Pictures is_tensor_item",
            "splitting": "per_class split stratified",
        },
    )
