from tests.data.data_server import pinned, server

__all__ = ["pinned", "server"]
