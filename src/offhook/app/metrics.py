"""Counters of a node, for Prometheus. Labels are bound once: a call costs two increments."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from offhook.calls.model import Outcome

from .ports import CallView, WorkerLoad

_KINDS = ("clicktocall", "quickcall", "inbound")
_TALK_BUCKETS_S = (1, 5, 15, 60, 300, 900, 3600)
_SETUP_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)


class CallMetrics:
    """What a CallService observes. `registry` is what /metrics shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        accepted = Counter(
            "offhook_calls_accepted", "Calls accepted, by kind of request.", ["kind"], registry=self.registry
        )
        ended = Counter(
            "offhook_calls_ended", "Calls ended, by outcome.", ["outcome"], registry=self.registry
        )
        self._accepted = {kind: accepted.labels(kind) for kind in _KINDS}
        self._ended = {outcome: ended.labels(outcome.value) for outcome in Outcome}
        self._setup_s = Histogram(
            "offhook_call_setup_seconds", "From accepted to joined.", buckets=_SETUP_BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip
        self._talk_s = Histogram(
            "offhook_call_talk_seconds", "From joined to ended.", buckets=_TALK_BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip

    def accepted(self, view: CallView) -> None:
        """Count an accepted call."""
        self._accepted[view.plan.kind].inc()

    def ended(self, view: CallView) -> None:
        """Count an ended call."""
        assert view.ending is not None
        self._ended[view.ending.outcome].inc()
        times = view.times
        if times.bridged:
            self._setup_s.observe(times.bridged - times.accepted)
            self._talk_s.observe(times.ended - times.bridged)

    def watch(
        self, *, live_calls: Callable[[], int], registrations: Callable[[], int], sip: Mapping[str, int]
    ) -> None:
        """Read these when somebody asks. Call it once."""
        live = Gauge("offhook_calls_live", "Calls that are live now.", registry=self.registry)
        live.set_function(live_calls)
        registered = Gauge("offhook_registrations", "Contacts registered now.", registry=self.registry)
        registered.set_function(registrations)
        self.registry.register(_SipCounters(sip))

    def watch_workers(self, workers: Callable[[], Iterable[WorkerLoad]]) -> None:
        """Read these too. Call it once, where there are workers."""
        self.registry.register(_WorkerMetrics(workers))


class _WorkerMetrics:
    """What each engine process has to do."""

    def __init__(self, workers: Callable[[], Iterable[WorkerLoad]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Yield the families that Prometheus scrapes."""
        up = GaugeMetricFamily(
            "offhook_worker_up", "Whether an engine process takes calls.", labels=["worker"]
        )
        calls = GaugeMetricFamily("offhook_worker_calls", "Calls an engine process holds.", labels=["worker"])
        cpu = CounterMetricFamily(
            "offhook_worker_cpu_seconds", "CPU time of it until now.", labels=["worker"]
        )
        for worker in self._workers():
            labels = [str(worker.number)]
            up.add_metric(labels, float(worker.is_up))
            calls.add_metric(labels, worker.calls)
            cpu.add_metric(labels, worker.cpu_s)
        yield from (up, calls, cpu)


class _SipCounters:
    """The SIP core's statistics as one counter with a label."""

    def __init__(self, statistics: Mapping[str, int]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the family that Prometheus scrapes."""
        family = CounterMetricFamily("offhook_sip", "Counters of the SIP core, by event.", labels=["event"])
        for event, count in sorted(self._statistics.items()):
            family.add_metric([event], count)
        yield family
