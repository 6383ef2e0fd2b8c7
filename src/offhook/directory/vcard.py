"""A user as a vCard 3.0 (RFC 2426), as address books read it."""

from typing import Any, Final

from .model import Json

LINE_MAX_BYTES: Final = 75
"""RFC 2426 section 2.6: longer lines are folded."""

_ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\r": "", "\n": "\\n"})


def user_vcard(user: Json, account: Json, *, photo: tuple[str, str] = ("", "")) -> str:
    """Return a user's card, lines ended by CR LF.

    user and account are documents; what stands in `profile` wins over the user's own fields, as in KAZOO.
    photo is its type (`PNG`, `JPEG`) and its content in base64, or empty.
    """
    profile = user.get("profile")
    data = {**user, **(profile if isinstance(profile, dict) else {})}
    first, last = _text(data.get("first_name")), _text(data.get("last_name"))
    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"FN:{_escaped(f'{first} {last}'.strip())}",
        f"N:{_escaped(last)};{_escaped(first)};;;",
        *(f"{name}:{value}" for name, value in _fields(data, account) if value),
        *(_telephone(number) for number in _numbers(data)),
        *([f"PHOTO;ENCODING=b;TYPE={photo[0]}:{photo[1]}"] if photo[1] else []),
        "END:VCARD",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _fields(data: Json, account: Json) -> list[tuple[str, str]]:
    names = {
        "EMAIL;TYPE=INTERNET": data.get("email"),
        "ORG": account.get("org") or account.get("name"),
        "TITLE": data.get("title"),
        "ROLE": data.get("role"),
        "NICKNAME": data.get("nicknames") or data.get("nickname"),
        "BDAY": data.get("birthday"),
        "NOTE": data.get("note"),
        "TZ": data.get("timezone"),
    }
    return [(name, _listed(value)) for name, value in names.items()]


def _numbers(data: Json) -> list[str]:
    caller_id = data.get("caller_id")
    shown = caller_id if isinstance(caller_id, dict) else {}
    found = (shown.get(kind) for kind in ("external", "internal"))
    numbers = [_text(one.get("number")) for one in found if isinstance(one, dict)]
    return [number for number in dict.fromkeys(numbers) if number]


def _telephone(number: str) -> str:
    return f"TEL;TYPE=WORK,VOICE:{_escaped(number)}"


def _listed(value: Any) -> str:
    """Return a text, or the texts of a list with commas between them."""
    values = value if isinstance(value, list) else [value]
    return ",".join(_escaped(text) for text in map(_text, values) if text)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)


def _folded(line: str) -> str:
    """Break a long line between characters; a space begins each further part."""
    parts, part, size = [], "", 0
    for character in line:
        width = len(character.encode("utf-8", "replace"))
        if size + width > LINE_MAX_BYTES:
            parts.append(part)
            part, size = " ", 1
        part += character
        size += width
    return "\r\n".join([*parts, part])
