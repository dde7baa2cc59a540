"""What a router's NAT remembers, in words. `lab table` and `lab watch` start it:

    mappings.py table ROUTER KEPT ADDRESS=NAME...    what it remembers now
    mappings.py watch ROUTER KEPT ADDRESS=NAME...    what comes and what goes

Linux notes every flow twice: as its first datagram came in, and as the answer will come in. Where the answer
comes for another address than the first datagram came from, the router has translated it: that is a mapping.
"""

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

END = r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
ROW = "{:<29}{:<28}{:<20}{:<12}{}"


@dataclass
class Flow:
    """A flow of datagrams; each end is an address and a port, as 192.168.1.11:50001."""

    source: str
    target: str
    answer_from: str
    answer_to: str
    answer: str
    seconds: str  # until it is forgotten


def parse(line: str) -> Flow | None:
    """Reads a line of conntrack's."""
    ends = re.findall(END, line)
    if len(ends) != 2:
        return None
    (source, target), (answer_from, answer_to) = (
        (f"{src}:{sport}", f"{dst}:{dport}") for src, dst, sport, dport in ends
    )
    answer = "none yet" if "[UNREPLIED]" in line else "yes, in use" if "[ASSURED]" in line else "yes"
    seconds = re.search(r"udp +17 (\d+) ", line)
    return Flow(source, target, answer_from, answer_to, answer, seconds[1] if seconds else "")


class Words:
    """Tells flows in the names of the map."""

    def __init__(self, router: str, names: list[str]) -> None:
        self.router = router
        self.names = dict(name.split("=") for name in names)

    def name(self, end: str) -> str:
        return self.names.get(end.split(":")[0], "")

    def end(self, end: str) -> str:
        return f"{end} ({self.name(end)})" if self.name(end) else end

    def is_mapping(self, flow: Flow) -> bool:
        return flow.answer_to != flow.source

    def turned_back(self, flow: Flow) -> str:
        """What a hairpin has made of the target."""
        inside = self.end(flow.answer_from)
        return "" if flow.answer_from == flow.target else f", sent back inside to {inside}"

    def mapping(self, flow: Flow) -> str:
        ends = f"{self.end(flow.source)} to {self.end(flow.target)}, outside {flow.answer_to}"
        return ends + self.turned_back(flow)

    def told(self, flow: Flow) -> str:
        return self.mapping(flow) if self.is_mapping(flow) else self.other(flow)

    def other(self, flow: Flow) -> str:
        """A flow whose sender's address is left as it is."""
        source = self.end(flow.source)
        if flow.answer_from != flow.target:
            return f"let in, from {source} to {flow.target}: handed to {self.end(flow.answer_from)}"
        if self.name(flow.target) == self.router:
            return f"unasked, from {source} to {flow.target}: nobody inside"
        return f"not translated, from {source} to {self.end(flow.target)}"


def conntrack(router: str, *arguments: str) -> list[str]:
    return ["ip", "netns", "exec", f"lab-{router}", "conntrack", *arguments, "-p", "udp"]


def remembered(router: str) -> str:
    listing = conntrack(router, "-L")
    return subprocess.run(listing, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def numbers(end: str) -> list[int]:
    return [int(number) for number in re.split("[.:]", end)]


def flows(router: str) -> list[Flow]:
    found = [flow for line in remembered(router).splitlines() if (flow := parse(line))]
    return sorted(found, key=lambda flow: [numbers(flow.source), numbers(flow.target)])


def table(words: Words, kept: str) -> None:
    found = flows(words.router)
    print(f"The mappings of {words.router}, each kept for {kept}:")
    if any(map(words.is_mapping, found)):
        print(ROW.format("inside", "to", "outside", "answer", "left"))
    else:
        print("(no mappings: nothing has gone out lately)")
    for flow in filter(words.is_mapping, found):
        inside, to = words.end(flow.source), words.end(flow.target)
        left = f"{flow.seconds} s{words.turned_back(flow)}"
        print(ROW.format(inside, to, flow.answer_to, flow.answer, left))
    for flow in found:
        if not words.is_mapping(flow):
            print(f"{words.other(flow)}, {flow.seconds} s left")


def watch(words: Words) -> None:
    command = [*conntrack(words.router, "-E"), "-o", "timestamp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as events:
        try:
            while not is_listening(events.pid):
                time.sleep(0.01)
            print(f"The mappings of {words.router} from now on; Ctrl-C ends this.", flush=True)
            for flow in flows(words.router):
                print(f"{time.strftime('%H:%M:%S', time.gmtime())}     there    {words.told(flow)}", flush=True)
            threading.Thread(target=look_every_second, args=[words.router], daemon=True).start()
            for line in events.stdout:
                tell(words, line)
        finally:
            events.kill()


def is_listening(conntrack: int) -> bool:
    """Whether conntrack hears the events by now: a netlink socket (12, netfilter's) is in a group."""
    with open(f"/proc/{conntrack}/net/netlink") as sockets:
        return any(re.match(r"\S+ +12 +\d+ +0*[1-9a-f]", socket) for socket in sockets)


def look_every_second(router: str) -> None:
    """Linux clears up what has run out when somebody looks, or much later."""
    while True:
        remembered(router)
        time.sleep(1)


def tell(words: Words, line: str) -> None:
    event = re.match(r"\[(\d+)\.(\d{3})\d*\]\s+\[(\w+)\]", line)
    flow = parse(line)
    if not event or not flow:
        return
    what = {"NEW": "new", "UPDATE": "answered", "DESTROY": "gone"}[event[3]]
    if what == "answered" and flow.answer != "yes":
        return  # another change than the first answer
    clock = time.strftime("%H:%M:%S", time.gmtime(int(event[1])))
    print(f"{clock}.{event[2]} {what:<9}{words.told(flow)}", flush=True)


def end(number: int, _frame: object) -> None:
    print(flush=True)  # the line with ^C in it is over
    sys.exit(128 + number)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the end of who reads this is the end of this
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    command, router, kept = sys.argv[1:4]
    words = Words(router, sys.argv[4:])
    if command == "table":
        table(words, kept)
    else:
        watch(words)


if __name__ == "__main__":
    main()
