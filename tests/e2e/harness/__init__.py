"""Real processes on loopback: our server, SIPp, baresip, and RTP endpoints that know which tone they hear."""

from .baresip import Baresip
from .kazoo_client import Account, Answer, KazooClient
from .rtp import RtpEndpoint
from .server import Server
from .sipp import Sipp

__all__ = ["Account", "Answer", "Baresip", "KazooClient", "RtpEndpoint", "Server", "Sipp"]
