"""A joined call is recorded, whoever is replaced meanwhile; one recording at a time, a bounded number."""

from offhook.calls.commands import StartRecording, StopRecording
from offhook.calls.events import CallRecorded, LegAnswered, LegsJoined, RecordRequested, TransferStored
from offhook.calls.joined import can_record
from offhook.calls.model import Handover
from offhook.calls.states import MAX_RECORDINGS

from .calls_language import commands, step, transfer_of
from .test_transfer import Told, given_joined_call


def test_a_recording_begins_and_ends() -> None:
    told = given_joined_call()
    outputs = told.give(RecordRequested("r1", True))
    assert outputs == [CallRecorded("r1", True), StartRecording("a", "r1")]
    assert not can_record(told.call)
    assert told.replayed().recording == "r1"
    assert told.give(RecordRequested("r1", False)) == [CallRecorded("r1", False), StopRecording("a", "r1")]
    assert told.replayed().recording == ""


def test_one_recording_at_a_time() -> None:
    told = given_joined_call()
    told.give(RecordRequested("r1", True))
    assert told.give(RecordRequested("r2", True)) == []
    assert told.give(RecordRequested("r2", False)) == []


def test_a_recording_goes_on_when_a_party_is_replaced() -> None:
    told = given_joined_call()
    told.give(RecordRequested("r1", True), transfer_of("b", "a", Handover.BLIND, step("c")))
    told.give(TransferStored(), LegAnswered("c"), LegsJoined("b", "c"))
    assert told.call.recording == "r1"
    assert commands(told.give(RecordRequested("r1", False)), StopRecording) == [StopRecording("c", "r1")]


def test_a_call_has_a_bounded_number_of_recordings() -> None:
    told = given_joined_call()
    for number in range(MAX_RECORDINGS):
        told.give(RecordRequested(f"r{number}", True), RecordRequested(f"r{number}", False))
    assert not can_record(told.call)


def test_a_call_that_is_not_joined_is_not_recorded() -> None:
    assert not can_record(Told().call)
