"""The error of a folder that a command must not write to."""

__all__ = ["Refused"]


class Refused(ValueError):
    """A folder is another command's, or files in it are not to be overwritten.

    Nothing has been changed. On the command line it is status 2, as for other bad arguments.
    """
