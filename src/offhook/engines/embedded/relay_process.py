"""The child process that carries the packets: RTPProxy in a Python interpreter of its own.

A process, not a thread: RTPProxy aborts on what it thinks impossible, and lifts the core size limit of
its process. Started by RtpIoRelay with the control socket on a given descriptor; ends when its standard
input closes, so it never outlives its parent, however that ends.
"""

import os
import resource
import signal
import sys
from typing import Final

SESSION_TTL_S: Final = 3600
"""A session without a packet for this long is dropped: above any hold we would call a conversation, and the
last resort should we ever forget a session. (After a crash of ours the whole process is gone at once.)"""


def main(arguments: list[str]) -> None:
    """Run until standard input ends.

    Arguments: descriptor, address to bind, lowest and highest port, folder for captures.
    """
    descriptor, bind_address, port_min, port_max, captures = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent drains its calls first, then closes our input
    _lift_descriptor_limit()
    from rtp.io import rtpproxy

    _relay = rtpproxy(  # it lives as long as this name does
        ttl=SESSION_TTL_S,
        debug_level="crit",
        port_min=int(port_min),
        port_max=int(port_max),
        modules=["dtls_gw", "ice_lite"],
        extra_args=["-F", "-s", f"fd:{descriptor}", "-l", bind_address, "-r", captures, "-S", captures, "-P"],
    )
    sys.stdin.buffer.read()
    os._exit(0)  # an orderly end of RTPProxy takes a second of waiting for threads; the kernel needs none


def _lift_descriptor_limit() -> None:
    """Each session holds four sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
