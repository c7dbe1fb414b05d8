"""Any protocol over UDP would do; this one answers each datagram with which server it is, and what it got."""

import socket
import sys


def serve(port: int) -> None:
    """Answers for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        while True:
            got, client = server.recvfrom(65535)
            server.sendto(f"server {port}: ".encode() + got, client)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
