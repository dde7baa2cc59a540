"""Cables that take their time: copies frames between pairs of TAP devices, each after a delay.

    uplinks.py MILLISECONDS NAMESPACE:DEVICE ...

For each NAMESPACE:DEVICE, a device of that name appears in lab-NAMESPACE, and its other end, to-NAMESPACE, in
lab-internet. (Linux has `tc netem` for this, but not in every kernel.)
"""

import ctypes
import fcntl
import heapq
import os
import selectors
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def enter(namespace: int) -> None:
    """Goes into a network namespace (os.setns came with Python 3.12 only)."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def open_tap(namespace: str, device: str) -> int:
    """Opens a new TAP device inside a namespace, up, and comes back."""
    with open("/proc/self/ns/net") as here, open(f"/run/netns/lab-{namespace}") as there:
        enter(there.fileno())
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TAP | IFF_NO_PI))
        os.system(f"ip link set {device} up")
        enter(here.fileno())
    return tap


def main() -> None:
    os.setsid()  # the terminal may go, the cables stay
    delay = int(sys.argv[1]) / 1000
    selector = selectors.DefaultSelector()
    for end in sys.argv[2:]:
        namespace, device = end.split(":")
        near, far = open_tap(namespace, device), open_tap("internet", f"to-{namespace}")
        selector.register(near, selectors.EVENT_READ, far)
        selector.register(far, selectors.EVENT_READ, near)
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(timeout):
            count += 1
            heapq.heappush(waiting, (time.monotonic() + delay, count, key.data, os.read(key.fd, 2048)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, out, frame = heapq.heappop(waiting)
            try:
                os.write(out, frame)
            except OSError:
                pass  # a full queue loses frames, as on any line


if __name__ == "__main__":
    main()
