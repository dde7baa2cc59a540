"""Who reaches whom through which routers: theory, and what happens. `lab matrix` starts it:

    matrix.py LAB INPUT [ONE] [OTHER]

One sits at alice1 behind home1, the other at bob1 behind home2; those with a public address at pub1 and pub2.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from itertools import combinations_with_replacement

KINDS = ["plain", "cone", "symmetric", "public"]
TRACKER, PEER = "target/debug/tracker", "target/debug/peer"
ROW = "{:<11}{:<11}{:<9}"


def can_meet(one: str, other: str) -> bool:
    """A symmetric router's next port is not known, so the other side must let in whoever comes."""
    kinds = {one, other}
    return bool(kinds & {"cone", "public"}) or kinds == {"plain"}


def in_place(place: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", f"lab-{place}", *command]


def run(*command: str, text: str | None = None) -> str:
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def start(stack: ExitStack, place: str, *command: str) -> subprocess.Popen[str]:
    """Starts a program; it ends with the stack. A peer stays while its stdin is open."""
    pipe = subprocess.PIPE
    program = subprocess.Popen(in_place(place, *command), stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    stack.callback(program.wait)
    stack.callback(program.kill)
    return program


def wait_for(lines: Iterable[str], part: str) -> bool:
    """Whether such a line comes, before the program ends."""
    return any(part in line for line in lines)


def meet(one: str, other: str) -> tuple[bool, int]:
    """Lets two peers try: whether they meet, and the milliseconds until they have, or are told."""
    with ExitStack() as stack:
        tracker = start(stack, "tracker", TRACKER)
        wait_for(tracker.stdout, "listening")
        peers = []
        for place in (one, other):
            peers.append(start(stack, place, PEER, "--tracker", "203.0.113.1:55555", "--name", place))
            if not wait_for(tracker.stdout, f"({place})"):
                sys.exit("lab: the tracker has ended: " + tracker.stderr.read())
        registered = time.monotonic()
        have_met = [wait_for(peer.stderr, "ready to exchange messages") for peer in peers]
        milliseconds = round(1000 * (time.monotonic() - registered))
    return all(have_met), milliseconds


def check_nobody_else_is_there() -> None:
    """A chat would be cut by other routers, and two trackers do not fit on one port."""
    for place in ("tracker", "pub1", "pub2", "alice1", "bob1"):
        for process in run("ip", "netns", "pids", f"lab-{place}").split():
            with suppress(FileNotFoundError), open(f"/proc/{process}/comm") as comm:
                name = comm.read().strip()
                if name in ("tracker", "peer"):
                    sys.exit(f"lab: a {name} runs at {place}: end it first (Ctrl-C), then try again")


def end_as_asked(number: int, _frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the end itself is not to be interrupted
    print()
    sys.exit(128 + number)


def give_up(_number: int, _frame: object) -> None:
    sys.exit("\nlab: nothing has happened for a minute. Does somebody lose all? `lab` tells.")


def prepare(pair: tuple[str, str], lab: str, input_: str) -> list[str]:
    """Makes the routers of these kinds, and says where the two sit."""
    places = []
    for kind, public, router, inside in zip(pair, ("pub1", "pub2"), ("home1", "home2"), ("alice1", "bob1")):
        if kind != "public":
            run(lab, "router", router, kind, input_)
        places.append(public if kind == "public" else inside)
    return places


def try_all(pairs: list[tuple[str, str]], lab: str, input_: str) -> None:
    print(f"INPUT {input_}. Two who cannot meet are told after 9 s.")
    print(ROW.format("one", "other", "theory"), "what happens", sep="")
    for pair in pairs:
        signal.alarm(60)
        theory = can_meet(*pair)
        print(ROW.format(*pair, "meet" if theory else "cannot"), end="", flush=True)
        have_met, milliseconds = meet(*prepare(pair, lab, input_))
        surprise = "" if have_met == theory else ", against the theory"
        print(f"{'ready' if have_met else 'told'} after {milliseconds} ms{surprise}", flush=True)


def main() -> None:
    lab, input_, *wanted = sys.argv[1:]
    if not (os.access(TRACKER, os.X_OK) and os.access(PEER, os.X_OK)):
        sys.exit(f"lab: there is no {TRACKER} or {PEER} here: cargo build, in the project's folder")
    check_nobody_else_is_there()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_as_asked)
    signal.signal(signal.SIGALRM, give_up)

    pairs = list(combinations_with_replacement(KINDS, 2))
    if len(wanted) == 2:
        pairs = [(wanted[0], wanted[1])]
    elif wanted:
        pairs = [pair for pair in pairs if wanted[0] in pair]
    with ExitStack() as stack:
        stack.callback(print, "home1 and home2 are as they were.")
        for router in ("home1", "home2"):
            rules = run(*in_place(router, "nft", "list", "ruleset"))
            stack.callback(run, lab, "forget", router)
            stack.callback(run, *in_place(router, "nft", "-f", "-"), text="flush ruleset\n" + rules)
        try_all(pairs, lab, input_)


if __name__ == "__main__":
    main()
