"""What may stand in `ringback`, `music_on_hold` and `media`: countries, tone scripts, silence, media ids.

Tone scripts are FreeSWITCH's (TGML): `%(2000,4000,440,480)` is on for 2 s, off for 4 s, two frequencies;
`;` separates tones; a DTMF digit is a tone; `v=-10` sets the level in dB, `d=` and `w=` the length of digits
and the pause after them, `l=` repeats each tone and `L=` (or `loops=`) the whole script.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from offhook.kernel import OffhookError

MAX_TEXT: Final = 512
"""The longest real script known to us, FreeSWITCH's bong-us, has 50 characters."""
MAX_DURATION_MS: Final = 60_000
"""A script is synthesised once round: a minute is ten cadences of the slowest country."""
MAX_TONES: Final = 256
MAX_FREQUENCIES: Final = 8
MAX_FREQUENCY_HZ: Final = 3_999.0
"""Below half the sampling rate."""
MIN_LEVEL_DB: Final = -63.0
DEFAULT_LEVEL_DB: Final = -10.0
"""ITU-T E.180: ringing tone is sent at -10 dBm0."""
MIN_DURATION_MS: Final = 20
"""One packet; something shorter cannot be played."""

_COUNTRIES: Final = {
    "at": "%(1000,5000,420)",
    "au": "%(400,200,413,438);%(400,2000,413,438)",
    "be": "%(1000,3000,425)",
    "bg": "%(1000,4000,425)",
    "br": "%(1000,4000,425)",
    "ca": "%(2000,4000,440,480)",
    "ch": "%(1000,4000,425)",
    "cl": "%(1000,3000,400)",
    "cn": "%(1000,4000,450)",
    "cz": "%(1000,4000,425)",
    "de": "%(1000,4000,425)",
    "dk": "%(1000,4000,425)",
    "ee": "%(1000,4000,425)",
    "es": "%(1500,3000,425)",
    "fi": "%(1000,4000,425)",
    "fr": "%(1500,3500,440)",
    "gr": "%(1000,4000,425)",
    "hk": "%(400,200,440,480);%(400,3000,440,480)",
    "hu": "%(1250,3750,425)",
    "id": "%(1000,4000,425)",
    "ie": "%(400,200,400,450);%(400,2000,400,450)",
    "il": "%(1000,3000,414)",
    "in": "%(400,200,375,425);%(400,2000,375,425)",
    "it": "%(1000,4000,425)",
    "jp": "%(1000,2000,384,416)",
    "kr": "%(1000,2000,440,480)",
    "lt": "%(1000,4000,425)",
    "mx": "%(1000,4000,425)",
    "my": "%(400,200,425);%(400,2000,425)",
    "nl": "%(1000,4000,425)",
    "no": "%(1000,4000,425)",
    "nz": "%(400,200,400,450);%(400,2000,400,450)",
    "pl": "%(1000,4000,425)",
    "pt": "%(1000,5000,425)",
    "ro": "%(1850,4150,475,425)",
    "ru": "%(800,3200,425)",
    "se": "%(1000,5000,425)",
    "sg": "%(400,200,401,449);%(400,2000,401,449)",
    "tr": "%(2000,4000,450)",
    "uk": "%(400,200,400,450);%(400,2000,400,450)",
    "us": "%(2000,4000,440,480)",
    "za": "%(400,200,367,433);%(400,2000,367,433)",
}
COUNTRIES: Final = {**_COUNTRIES, "gb": _COUNTRIES["uk"]}
"""Ringing tones by country (ITU-T E.180 supplement 2, Q.35): a tone modulated by a second one, as in Japan
or India, is written as the two frequencies that makes."""

_DTMF_ROWS: Final = (697.0, 770.0, 852.0, 941.0)
_DTMF_COLUMNS: Final = (1209.0, 1336.0, 1477.0, 1633.0)
DTMF: Final = {
    digit: (_DTMF_ROWS[at // 4], _DTMF_COLUMNS[at % 4]) for at, digit in enumerate("123A456B789C*0#D")
}
"""ITU-T Q.23: two frequencies for each key."""

_NUMBER: Final = re.compile(r"[-+]?\d{1,7}(?:\.\d{1,4})?")
_NAME: Final = re.compile(r"loops|[a-zA-Z<>+]")
_MEDIA_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}")
_SILENCE: Final = re.compile(r"(-1|\d{1,6})(?:,(-1|\d{1,6}))?")
_UNSUPPORTED: Final = {"c": "channels", "r": "sample rate", ">": "decay", "<": "attack", "+": "level step"}


class ToneSyntaxError(OffhookError):
    """A text is no tone script, silence, country code or media id."""

    code: ClassVar[str] = "tone-syntax"

    def __init__(self, text: str, position: int, expected: str) -> None:
        super().__init__(text, position, expected)
        self.text = text
        self.position = position
        """Index of the first character that is wrong."""
        self.expected = expected

    def __str__(self) -> str:
        return f"at character {self.position + 1}: expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Tone:
    """Frequencies sounding together for a while, then a pause."""

    on_ms: int
    off_ms: int
    frequencies: tuple[float, ...]
    """Hz; empty is silence."""
    level_db: float = DEFAULT_LEVEL_DB
    """Of each frequency, below full scale."""


@dataclass(frozen=True, slots=True)
class ToneScript:
    """Tones in order, once round."""

    tones: tuple[Tone, ...]

    @property
    def duration_ms(self) -> int:
        """How long once round takes."""
        return sum(tone.on_ms + tone.off_ms for tone in self.tones)


@dataclass(frozen=True, slots=True)
class Silence:
    """Silence, or comfort noise."""

    duration_ms: int
    noise_divisor: int
    """0: digital silence; else the noise's level is full scale divided by it."""


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """Something kept in the media library; whether it is there is for the library to say."""

    media_id: str


MediaSource = ToneScript | Silence | StoredMedia


def is_playable(text: str) -> bool:
    """Tell whether `text` is well formed: a country code, tone script, stream or media id."""
    try:
        parse_media(text)
    except ToneSyntaxError:
        return False
    return True


def parse_media(text: str) -> MediaSource:
    """Return what `text` stands for. Raises ToneSyntaxError, with the position of the fault."""
    if len(text) > MAX_TEXT:
        raise ToneSyntaxError(text, MAX_TEXT, f"at most {MAX_TEXT} characters")
    country = text.removesuffix("-ring").lower()
    if country in COUNTRIES:
        return parse_tones(COUNTRIES[country])
    if text.startswith("tone_stream://"):
        return parse_tones(text, len("tone_stream://"))
    if text.startswith("silence_stream://"):
        return _parse_silence(text, len("silence_stream://"))
    if _MEDIA_ID.fullmatch(text) and not text.isdigit():
        return StoredMedia(text)
    return parse_tones(text)


def parse_tones(text: str, start: int = 0) -> ToneScript:
    """Return the tones of a script, with all repetitions written out. Raises ToneSyntaxError."""
    return _ScriptParser(text, start).parse()


def _parse_silence(text: str, start: int) -> Silence:
    found = _SILENCE.fullmatch(text, start)
    if found is None:
        raise ToneSyntaxError(text, start, "milliseconds, or milliseconds and a noise divisor")
    duration, divisor = found.group(1, 2)
    duration_ms = MAX_DURATION_MS if duration == "-1" else int(duration)
    if not MIN_DURATION_MS <= duration_ms <= MAX_DURATION_MS:
        raise ToneSyntaxError(text, start, f"{MIN_DURATION_MS} to {MAX_DURATION_MS} ms, or -1")
    return Silence(duration_ms, max(int(divisor or 0), 0))


class _ScriptParser:
    """One pass over a script; keeps the position for error messages."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start
        self.level_db = DEFAULT_LEVEL_DB
        self.digit_ms = 250
        self.pause_ms = 50
        self.tone_loops = 1
        self.script_loops = 1
        self.tones: list[Tone] = []

    def parse(self) -> ToneScript:
        start = self.at
        while self.at < len(self.text):
            self._statement()
            if self.at < len(self.text) and self.text[self.at] not in ";%" and not self._at_digit():
                raise self._expected("; or the next tone")
            self._skip(";")
        tones = self.tones * self.script_loops if len(self.tones) * self.script_loops <= MAX_TONES else []
        script = ToneScript(tuple(tones))
        if not self.tones:
            raise ToneSyntaxError(self.text, start, "a tone such as %(2000,4000,440,480)")
        if not tones or script.duration_ms > MAX_DURATION_MS:
            raise ToneSyntaxError(self.text, start, f"at most {MAX_TONES} tones and {MAX_DURATION_MS} ms")
        if script.duration_ms < MIN_DURATION_MS:
            raise ToneSyntaxError(self.text, start, f"at least {MIN_DURATION_MS} ms")
        return script

    def _statement(self) -> None:
        self._skip(" ")
        if self._take("%"):
            self._add(Tone(*self._lengths(), self._frequencies(), self.level_db))
        elif self._at_digit():
            frequencies = DTMF[self.text[self.at].upper()]
            self.at += 1
            on_ms, off_ms = self._digit_lengths()
            self._add(Tone(on_ms, off_ms, frequencies, self.level_db))
        else:
            self._setting()
        self._skip(" ")

    def _at_digit(self) -> bool:
        text, at = self.text, self.at
        return text[at : at + 1].upper() in DTMF and text[at + 1 : at + 2] != "="

    def _add(self, tone: Tone) -> None:
        if len(self.tones) + self.tone_loops > MAX_TONES:
            raise self._expected(f"at most {MAX_TONES} tones")
        self.tones += [tone] * self.tone_loops

    def _lengths(self) -> tuple[int, int]:
        self._need("(")
        on_ms = self._integer("milliseconds on", 0, MAX_DURATION_MS)
        self._need(",")
        return on_ms, self._integer("milliseconds off", 0, MAX_DURATION_MS)

    def _frequencies(self) -> tuple[float, ...]:
        frequencies: list[float] = []
        while self._take(","):
            if len(frequencies) == MAX_FREQUENCIES:
                raise self._expected(f"at most {MAX_FREQUENCIES} frequencies")
            frequencies.append(self._decimal("a frequency in Hz", 0.0, MAX_FREQUENCY_HZ))
        if not frequencies:
            raise self._expected("a comma and a frequency")
        self._need(")")
        return tuple([frequency for frequency in frequencies if frequency > 0])  # 0 Hz is a rest

    def _digit_lengths(self) -> tuple[int, int]:
        if self.text[self.at : self.at + 1] != "(":
            return self.digit_ms, self.pause_ms
        lengths = self._lengths()
        self._need(")")
        return lengths

    def _setting(self) -> None:
        found = _NAME.match(self.text, self.at)
        name = found.group() if found else ""
        if name in _UNSUPPORTED:
            raise self._expected(f"no {_UNSUPPORTED[name]} ({name}=), which is not supported")
        if name not in ("v", "d", "w", "l", "L", "loops"):
            raise self._expected("%(…), a digit, or one of v= d= w= l= L= loops=")
        self.at += len(name)
        self._need("=")
        if name == "v":
            self.level_db = self._decimal("a level in dB", MIN_LEVEL_DB, 0.0)
        elif name == "d":
            self.digit_ms = self._integer("milliseconds", 1, MAX_DURATION_MS)
        elif name == "w":
            self.pause_ms = self._integer("milliseconds", 0, MAX_DURATION_MS)
        elif name == "l":
            self.tone_loops = self._integer("a number of repetitions", 1, MAX_TONES)
        else:  # -1 is FreeSWITCH's "for ever": what is played here is repeated anyway
            self.script_loops = max(self._integer("a number of repetitions", -1, MAX_TONES), 1)

    def _integer(self, what: str, low: int, high: int) -> int:
        position = self.at
        value = self._decimal(what, low, high)
        if value != int(value):
            raise ToneSyntaxError(self.text, position, f"{what}, a whole number")
        return int(value)

    def _decimal(self, what: str, low: float, high: float) -> float:
        self._skip(" ")
        found = _NUMBER.match(self.text, self.at)
        if found is None or not low <= float(found.group()) <= high:
            raise self._expected(f"{what} from {low:g} to {high:g}")
        self.at = found.end()
        self._skip(" ")
        return float(found.group())

    def _skip(self, character: str) -> None:
        while self._take(character):
            pass

    def _take(self, character: str) -> bool:
        if self.text[self.at : self.at + 1] != character:
            return False
        self.at += 1
        return True

    def _need(self, character: str) -> None:
        if not self._take(character):
            raise self._expected(character)

    def _expected(self, what: str) -> ToneSyntaxError:
        return ToneSyntaxError(self.text, self.at, what)
