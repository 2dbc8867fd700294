"""The two sockets of a run, for import."""

from __future__ import annotations

from dadc_net.wire.agent_socket import AgentSocket
from dadc_net.wire.options import Heartbeat
from dadc_net.wire.server_socket import Received, ServerSocket

__all__ = ["AgentSocket", "Heartbeat", "Received", "ServerSocket"]
