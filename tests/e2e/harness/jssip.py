"""JsSIP in a page: a browser phone that registers over a websocket, answers and listens for tones."""

import fcntl
import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Final

from .browser import Browser, Page
from .waiting import wait_for

MANIFEST: Final = Path(__file__).parents[1] / "browser"
"""package.json, and the lock file with the hash of each package: npm refuses what does not match."""
INSTALLED: Final = Path(__file__).parents[3] / ".peers"
INSTALL_S: Final = 300

_PACKAGES: Final = ("jssip", "debug", "ms", "events", "sdp-transform")
_LOADER: Final = """
const loaded = {};
function load(path) {
  for (const name of [path, path + '.js', path + '/index.js']) {
    if (name in loaded) return loaded[name].exports;
    if (!(name in modules)) continue;
    const module = loaded[name] = {exports: {}};
    const folder = name.split('/').slice(0, -1);
    modules[name].call(module.exports, module, module.exports, wanted => {
      if (!wanted.startsWith('.')) return load(mains[wanted]);
      const parts = [...folder];
      for (const part of wanted.split('/')) {
        if (part === '..') parts.pop(); else if (part !== '.') parts.push(part);
      }
      return load(parts.join('/'));
    });
    return module.exports;
  }
  throw new Error('no module ' + path);
}
window.process = {env: {}};
window.JsSIP = load(mains['jssip']);
"""

_PHONE: Final = """
window.phone = {states: [], frequency: 0};
window.startPhone = options => {
  const socket = new JsSIP.WebSocketInterface(options.url);
  const ua = phone.ua = new JsSIP.UA({
    sockets: [socket], uri: `sip:${options.username}@${options.realm}`, password: options.password,
    register: true, register_expires: 60, session_timers: false, user_agent: 'JsSIP in a test',
  });
  for (const name of ['connected', 'disconnected', 'registered', 'unregistered', 'registrationFailed'])
    ua.on(name, event => phone.states.push(name + (event && event.cause ? ':' + event.cause : '')));
  ua.on('newRTCSession', ({session}) => {
    phone.session = session;
    for (const name of ['progress', 'accepted', 'confirmed', 'ended', 'failed'])
      session.on(name, event => phone.states.push(name + (event && event.cause ? ':' + event.cause : '')));
    const hear = connection => connection.addEventListener('track', event => listen(event.track));
    if (session.connection) hear(session.connection);  // of a call of ours it is there already
    else session.on('peerconnection', ({peerconnection}) => hear(peerconnection));
    if (session.direction === 'incoming') session.answer(callOptions);
  });
  ua.start();
};
const callOptions = window.callOptions = {
  mediaConstraints: {audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false},
                     video: false},
  pcConfig: {iceServers: []},
};
function listen(track) {
  const stream = new MediaStream([track]);
  phone.audio = new Audio();
  phone.audio.srcObject = stream;
  phone.audio.play();
  const context = new AudioContext({sampleRate: 8000});
  const analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  context.createMediaStreamSource(stream).connect(analyser);
  phone.heard = () => {
    const levels = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(levels);
    const top = levels.indexOf(Math.max(...levels));
    return levels[top] > -70 ? top * context.sampleRate / analyser.fftSize : 0;
  };
}
"""

TOLERANCE_HZ: Final = 12.0
"""Three bins of the analyser."""


def install() -> Path:
    """Return the folder with JsSIP and what it needs; npm fetches it once and checks each package's hash."""
    lock = (MANIFEST / "package-lock.json").read_bytes()
    folder = INSTALLED / f"jssip-{sha256(lock).hexdigest()[:12]}"
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "jssip.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two test processes may come at once
        if not folder.exists():
            new = folder.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(MANIFEST, new)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=new,
                check=True,
                timeout=INSTALL_S,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            new.rename(folder)
    return folder / "node_modules"


def write_page(folder: Path) -> None:
    """Write a page with JsSIP and a phone of ours into a folder."""
    packages = install()
    modules, mains = [], {}
    for name in _PACKAGES:
        manifest = json.loads((packages / name / "package.json").read_text())
        main = manifest.get("browser") or manifest["main"]
        mains[name] = f"{name}/{main.removeprefix('./').rstrip('/')}"
        for path in (*(packages / name).rglob("*.js"), packages / name / "package.json"):
            key = path.relative_to(packages).as_posix()
            if "/test" in key or "/dist/" in key or "/bin/" in key:
                continue
            text = path.read_text()
            body = f"module.exports = {text};" if path.suffix == ".json" else text
            if not body.startswith("#!"):
                modules.append(f"{json.dumps(key)}: function (module, exports, require) {{\n{body}\n}}")
    script = f"const modules = {{\n{','.join(modules)}\n}};\nconst mains = {json.dumps(mains)};\n{_LOADER}"
    (folder / "jssip.js").write_text(script)
    (folder / "phone.js").write_text(_PHONE)
    (folder / "index.html").write_text(
        "<!doctype html><title>phone</title><script src=jssip.js></script><script src=phone.js></script>\n"
    )


class JsSipPhone:
    """A phone in a page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    def open(
        cls, browser: Browser, folder: Path, *, url: str, username: str, password: str, realm: str
    ) -> "JsSipPhone":
        """Open a page with a phone that registers at a websocket URL; return when it has."""
        write_page(folder)
        phone = cls(browser.open(f"{browser.serve(folder)}/index.html"))
        options = json.dumps({"url": url, "username": username, "password": password, "realm": realm})
        phone.evaluate(f"startPhone({options})")
        return phone

    def evaluate(self, expression: str) -> object:
        """Run a script in the page."""
        return self._page.evaluate(expression)

    @property
    def states(self) -> list[str]:
        """What has happened to it, in JsSIP's words."""
        return list(self._page.evaluate("phone.states"))

    def wait_for_state(self, state: str, *, timeout_s: float = 30.0) -> None:
        """Return once something has happened. Raises AssertionError if it does not."""
        wait_for(
            lambda: any(one.split(":")[0] == state for one in self.states),
            timeout_s=timeout_s,
            what=f"{state} in the browser",
        )

    def call(self, number: str) -> None:
        """Dial."""
        self._page.evaluate(f"void (phone.session = phone.ua.call({json.dumps(number)}, callOptions))")

    def hang_up(self) -> None:
        """Press the red button."""
        self._page.evaluate("phone.session.terminate()")

    def hears(self, frequency_hz: float) -> bool:
        """Tell whether the loudest thing it hears now is this tone."""
        heard = self._page.evaluate("phone.heard ? phone.heard() : 0")
        return abs(float(heard) - frequency_hz) <= TOLERANCE_HZ

    def wait_until_hears(self, frequency_hz: float, *, timeout_s: float = 30.0) -> None:
        """Return once it hears a tone. Raises AssertionError if it does not."""
        wait_for(
            lambda: self.hears(frequency_hz), timeout_s=timeout_s, what=f"{frequency_hz:g} Hz in the browser"
        )
