"""Tone scripts, countries, silence, media ids: what is accepted, what it means, where a fault is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.audio.tones import (
    COUNTRIES,
    DTMF,
    MAX_DURATION_MS,
    MAX_TEXT,
    Silence,
    StoredMedia,
    Tone,
    ToneScript,
    ToneSyntaxError,
    is_playable,
    parse_media,
    parse_tones,
)


def test_two_frequencies_on_and_off():
    assert parse_tones("%(2000,4000,440,480)").tones == (Tone(2000, 4000, (440.0, 480.0)),)


def test_level_and_repetitions():
    script = parse_tones("L=2;v=-7;l=2;%(100,0,941.0,1477.0);l=1;v=-13.5;%(200,50,350)")
    hash_key = Tone(100, 0, (941.0, 1477.0), -7.0)
    assert script.tones == (hash_key, hash_key, Tone(200, 50, (350.0,), -13.5)) * 2
    assert script.duration_ms == 900


def test_digits_have_lengths_of_their_own():
    tones = parse_tones("d=100;w=20;1#;5(300, 40)").tones
    assert tones == (Tone(100, 20, DTMF["1"]), Tone(100, 20, DTMF["#"]), Tone(300, 40, DTMF["5"]))


def test_zero_hertz_is_a_rest():
    assert parse_tones("%(167, 0, 0)").tones == (Tone(167, 0, ()),)


def test_tone_stream_with_loops():
    assert parse_media("tone_stream://%(100,200,800);loops=-1") == ToneScript((Tone(100, 200, (800.0,)),))


@pytest.mark.parametrize(("country", "cadence"), [
    ("us", (2000, 4000)), ("uk", (400, 200, 400, 2000)), ("de", (1000, 4000)), ("fr", (1500, 3500)),
])  # fmt: skip
def test_country_cadences(country, cadence):
    script = parse_media(country)
    assert isinstance(script, ToneScript)
    assert tuple(length for tone in script.tones for length in (tone.on_ms, tone.off_ms)) == cadence


def test_every_country_parses_and_pauses():
    for country in COUNTRIES:
        script = parse_media(country.upper())
        assert isinstance(script, ToneScript)
        assert 2_000 <= script.duration_ms <= 6_000
        assert all(tone.frequencies and tone.off_ms for tone in script.tones)
    assert parse_media("us-ring") == parse_media("us")


def test_silence_and_noise():
    assert parse_media("silence_stream://1000") == Silence(1000, 0)
    assert parse_media("silence_stream://-1,1400") == Silence(MAX_DURATION_MS, 1400)


def test_anything_like_an_id_is_stored_media():
    assert parse_media("0d3f6c9a1b2c4d5e8f90a1b2c3d4e5f6") == StoredMedia("0d3f6c9a1b2c4d5e8f90a1b2c3d4e5f6")
    assert parse_media("offhook-music") == StoredMedia("offhook-music")


@pytest.mark.parametrize(("text", "position"), [
    ("", 0),
    ("%", 1),
    ("%(1000,0)", 8),
    ("%(1000,0,440", 12),
    ("%(1000,0,4400)", 9),
    ("%(1000,0.5,440)", 7),
    ("%(1000,0,440)!", 13),
    ("%(1000,0,440);v=1", 16),
    ("v=-7;>=2;%(1000,0,440)", 5),
    ("q=1;%(1000,0,440)", 0),
    ("L=999;%(1000,0,440)", 2),
    ("L=100;%(1000,0,440)", 0),
    ("%(99999,0,440)", 2),
    ("tone_stream://", 14),
    ("tone_stream://path=/etc/passwd", 14),
    ("silence_stream://soon", 17),
    ("../secret", 0),
    ("ring please", 0),
    ("%(100,100,440)\r\nVia: x", 14),
    ("x" * (MAX_TEXT + 1), MAX_TEXT),
])  # fmt: skip
def test_faults_are_told_with_their_position(text, position):
    assert not is_playable(text)
    with pytest.raises(ToneSyntaxError) as error:
        parse_media(text)
    assert error.value.position == position
    assert str(error.value).startswith(f"at character {position + 1}: expected ")


@given(st.text(alphabet="%();,=0123456789.-vlLdwoaps#*ABr+<> x\n", max_size=60))
def test_any_text_is_parsed_or_refused_within_bounds(text):
    if not is_playable(text):
        with pytest.raises(ToneSyntaxError) as fault:
            parse_media(text)
        assert 0 <= fault.value.position <= len(text)
        return
    source = parse_media(text)
    assert not isinstance(source, ToneScript) or 0 < source.duration_ms <= MAX_DURATION_MS
