"""What a node keeps out, and its limits, for Prometheus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .overload import Overload


@dataclass(frozen=True, slots=True)
class Defences:
    """What is read when somebody asks."""

    turned_away: Sequence[Mapping[str, int]]
    """SIP messages, requests and connections, by reason; no reason is in two of them."""
    blocked_addresses: Callable[[], int]
    sip_connections: Callable[[], int]
    overload: Overload
    limits: Mapping[str, float]
    """By the name of the setting; 0 is no limit."""


class DefenceMetrics:
    """A collector; `register` it once."""

    def __init__(self, defences: Defences) -> None:
        self._defences = defences

    def register(self, registry: CollectorRegistry) -> None:
        """Show these in a registry."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the families that Prometheus scrapes."""
        defences, overload = self._defences, self._defences.overload
        turned_away = CounterMetricFamily(
            "offhook_sip_turned_away", "What the SIP port did not let in, by reason.", labels=["reason"]
        )
        for reason, count in sorted(pair for counts in defences.turned_away for pair in counts.items()):
            turned_away.add_metric([reason], count)
        yield turned_away
        yield GaugeMetricFamily(
            "offhook_sip_blocked_addresses", "Shut out for wrong passwords.", defences.blocked_addresses()
        )
        yield GaugeMetricFamily(
            "offhook_sip_connections", "Connections that carry SIP.", defences.sip_connections()
        )
        yield GaugeMetricFamily(
            "offhook_loop_late_seconds", "Delay that stood for a second.", overload.standing_s
        )
        yield GaugeMetricFamily(
            "offhook_calls_rate_limit", "New calls per second, as load allows.", overload.rate
        )
        yield CounterMetricFamily("offhook_calls_overload", "Calls refused for load.", overload.refused)
        limits = GaugeMetricFamily("offhook_limit", "Limits that are set; 0 is none.", labels=["setting"])
        for name, limit in sorted(defences.limits.items()):
            limits.add_metric([name], limit)
        yield limits
