"""What a plan would do, for people and for dry_run=true. No secrets: gateway passwords stay out."""

from offhook.app.ports import Json
from offhook.calls.model import CallPlan, EndpointPlan, PartyPlan, RingStep


def explain(plan: CallPlan) -> Json:
    """Return the plan in words and numbers."""
    return {
        "kind": plan.kind,
        "contact": plan.contact,
        "first": _party(plan.first),
        "second": _party(plan.second),
        "media": str(plan.media),
        "ringback": plan.ringback,
        "ignore_early_media": plan.ignore_early_media,
        "custom_application_vars": plan.custom_application_vars,
        "max_duration_s": plan.max_duration_s,
    }


def _party(party: PartyPlan) -> Json:
    explained: Json = {
        "side": str(party.side),
        "number": party.number,
        "route": party.route,
        "steps": [_step(step) for step in party.steps],
    }
    return explained if party.steps else explained | {"unreachable_cause": party.unreachable_cause}


def _step(step: RingStep) -> Json:
    return {"timeout_s": step.timeout_s, "endpoints": [_endpoint(endpoint) for endpoint in step.endpoints]}


def _endpoint(endpoint: EndpointPlan) -> Json:
    return {
        "kind": str(endpoint.kind),
        "endpoint_id": endpoint.endpoint_id,
        "owner_id": endpoint.owner_id,
        "request_uri": endpoint.request_uri,
        "to_uri": endpoint.to_uri,
        "from_uri": endpoint.from_uri,
        "caller_id_name": endpoint.caller_id_name,
        "caller_id_number": endpoint.caller_id_number,
        "headers": [[name, value] for name, value in endpoint.headers],
        "route_set": list(endpoint.route_set),
        "codecs": list(endpoint.codecs),
        "delay_s": endpoint.delay_s,
        "timeout_s": endpoint.timeout_s,
        "progress_timeout_s": endpoint.progress_timeout_s,
        "auto_answer": endpoint.auto_answer,
        "presence_id": endpoint.presence_id,
    }
