from zoo_core.hookspecs import hookimpl


@hookimpl
def zoo_regularizers(): return []
