"""A small peer after docs/protocol.md: says one message, waits for its acknowledgement, repeats it every second.

It has all that the page demands in the levels 1, 2, 3 and 5.
"""
import os, queue, select, socket, sys, threading, time

option = lambda name: sys.argv[sys.argv.index(name) + 1]
host, port = option("--tracker").rsplit(":", 1)
tracker, name, room = (host, int(port)), option("--name"), option("--room")
us, cookie, complete, registered, cookie_answered = os.urandom(8).hex(), "-", False, 0, 0
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 0))
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect(tracker)  # sends nothing
private = f"{probe.getsockname()[0]}:{sock.getsockname()[1]}"
typed, ended, unsaid = queue.Queue(), False, 0
links = {}
TURNS = "\u061c\u200e\u200f" + "".join(map(chr, [*range(0x2028, 0x202F), *range(0x2066, 0x206A)]))


def read_input():
    for line in sys.stdin.buffer:
        typed.put(line.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace"))
    typed.put(None)


def send(to, *messages):
    try:
        sock.sendto("".join(message + "\n" for message in messages).encode(), to)
    except OSError:
        pass  # nobody is there now: what needs an answer will be repeated


class Link:
    def __init__(self, them, name, candidates):
        self.them, self.name, self.candidates, self.endpoint = them, name, candidates, None
        self.queue, self.number, self.sent = [], 1, 0  # queue[0] has this number
        self.next, self.over_there, self.left, self.closes, self.unfinished = 1, False, None, None, ""
        self.heard = self.progress = self.pinged = self.repeated = self.heard_there = time.time()
        self.moving = None

    def ping(self, to):
        send(to, f"PING {self.them} {us} {name}")

    def answer(self, to):
        send(to, f"ACK {self.them} {us} {self.next}")

    def is_done(self):
        return not self.queue and (self.left or self.over_there and ended)

    def hear(self, verb, rest, source, now):
        if self.endpoint is None and verb != "PING":
            self.endpoint, self.heard_there = source, now
            send(tracker, f"MET {cookie} {us} {self.them}")
        if verb == "PING":
            send(source, f"PONG {self.them} {us} {name}")
            if self.endpoint is None:
                self.candidates.add(source)
                self.ping(source)
        self.heard = now
        if source == self.endpoint:
            self.heard_there = now
        elif self.endpoint and verb == "PONG" and source == self.moving and now - self.heard_there > 0.5:
            self.endpoint = source
        elif self.endpoint and verb != "PONG":
            self.moving = source
            self.ping(source)
        if verb == "ACK" and self.queue and number(rest[0]) == self.number + 1:
            self.queue.pop(0)
            self.number, self.sent, self.progress = self.number + 1, 0, now
        elif verb in ("SAY", "PART", "END", "BYE"):
            if number(rest[0]) == self.next:
                self.next += 1
                self.unfinished += rest[1] if verb in ("SAY", "PART") else ""
                if verb == "SAY" and not self.over_there and not self.left:
                    show(self.name, self.unfinished)
                self.unfinished = "" if verb == "SAY" else self.unfinished
                self.over_there |= verb == "END"
                self.left = now if verb == "BYE" else self.left
            self.closes = None if self.closes is None else now + 0.7
            self.answer(source)

    def run(self, now):
        global unsaid
        if self.endpoint is None:
            for candidate in self.candidates:
                if now - self.pinged > 0.1:
                    self.ping(candidate)
            self.pinged = now if now - self.pinged > 0.1 else self.pinged
            return True
        if self.moving and self.moving != self.endpoint and now - self.repeated > 0.1 and self.heard != now:
            self.ping(self.moving)
            self.repeated = now
        if self.queue and now - self.sent > 1:
            self.progress = now if self.sent == 0 else self.progress
            verb, text = self.queue[0]
            send(self.endpoint, f"{verb} {self.them} {us} {self.number}" + ("" if text is None else " " + text))
            self.sent = now
        if now - self.heard > 5 and now - self.pinged > 1:
            self.ping(self.endpoint)
            self.pinged = now
        is_gone = now - self.heard > 20 or self.queue and now - self.progress > 20
        if is_gone or self.left and self.queue and now - self.left > 3:
            unsaid += 1
            return False
        if self.is_done():
            self.closes = self.closes or now + 0.7
            if now - self.repeated > 0.1:
                self.answer(self.endpoint)
                self.repeated = now
            return now < self.closes
        return True


def number(digits):
    return int(digits) if digits.isdigit() and digits.isascii() and str(int(digits)) == digits else -1


def show(name, text):
    is_bad = lambda c: ord(c) < 32 and c != "\t" or 127 <= ord(c) < 160 or c in TURNS
    print(name + ": " + "".join("\ufffd" if is_bad(c) else c for c in text), flush=True)


def take(line, source, now):
    """Takes in one line of a datagram; whatever is wrong with it ends in an exception."""
    global cookie, complete, cookie_answered, registered
    verb, fields = line.split(" ", 1)[0], line.split(" ")
    if source == tracker and verb == "COOKIE" and now - cookie_answered > 0.5:
        cookie, cookie_answered, registered = fields[1], now, 0
    elif source == tracker and verb in ("WAIT", "PEER"):
        here, size = map(number, fields[1].split("/"))
        complete |= here == size and verb == "PEER"
        if verb == "PEER" and fields[2] != us:
            addresses = [endpoint.rsplit(":", 1) for endpoint in fields[4:6]]
            link = links.setdefault(fields[2], Link(fields[2], fields[3], {(ip, int(at)) for ip, at in addresses}))
            if link.endpoint:
                send(tracker, f"MET {cookie} {us} {link.them}")
            for candidate in link.candidates if link.endpoint is None else ():
                link.ping(candidate)
    elif verb in ("PING", "PONG") and len(fields) == 4 and fields[1] == us and fields[3]:
        links[fields[2]].hear(verb, fields[3:], source, now)
    elif verb in ("SAY", "PART") and fields[1] == us and number(fields[3]) > 0:
        links[fields[2]].hear(verb, line.split(" ", 4)[3:] if len(fields) > 4 else 1 / 0, source, now)
    elif verb in ("END", "BYE") and fields[1] == us and len(fields) == 4 and number(fields[3]) > 0:
        links[fields[2]].hear(verb, fields[3:], source, now)
    elif verb == "ACK" and fields[1] == us and len(fields) == 4:
        links[fields[2]].hear(verb, fields[3:], source, now)


threading.Thread(target=read_input, daemon=True).start()
while True:
    if select.select([sock], [], [], 0.02)[0]:
        try:
            datagram, source = sock.recvfrom(65536)
        except OSError:
            continue  # the system tells that nobody is at some port
        for line in datagram.split(b"\n")[:-1] if len(datagram) <= 1200 else ():
            try:
                take(line.decode(), source, time.time())
            except (ValueError, IndexError, KeyError, ZeroDivisionError):
                pass  # no message, or not for us
    now = time.time()
    if now - registered > 0.5 and not (complete and all(link.endpoint for link in links.values())):
        send(tracker, f"REGISTER {cookie} {us} {room} {name} {private}")
        registered = now
    while any(link.endpoint for link in links.values()) and not typed.empty() and not ended:
        line = typed.get()
        ended |= line is None
        if line and len(line.encode()) > 1100:
            unsaid += 1
            continue
        for link in links.values():
            if not link.left:
                link.queue.append(("END", None) if ended else ("SAY", line))
    links = {them: link for them, link in links.items() if link.run(now)}
    if complete and not links:
        if cookie != "-":
            send(tracker, f"LEAVE {cookie} {us}")
        sys.stdout.flush()
        os._exit(1 if unsaid else 0)  # sys.exit would wait for the thread that reads
