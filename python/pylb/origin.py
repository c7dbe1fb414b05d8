"""One of the three small servers of the demo, as a process of its own: `python -m pylb.origin NUMBER PORT`.

It says its port on standard output and answers every request with its name. It leaves when standard input
closes: whoever started it holds the other end of that pipe, so it never outlives its parent, however that
ends. It imports little, because a visitor is waiting.
"""

import os
import signal
import sys

import h11
import trio


async def _origin(number: int, port: int) -> None:
    """Says its port on standard output, and answers until standard input closes."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:

        async def connection(stream: trio.SocketStream) -> None:
            await answer(stream, f"Hello from origin {number}\n".encode())

        nursery.start_soon(trio.serve_listeners, connection, listeners)
        os.write(1, b"%d\n" % listeners[0].socket.getsockname()[1])
        async with trio.lowlevel.FdStream(os.dup(0)) as parent:
            while await parent.receive_some():
                pass
        nursery.cancel_scope.cancel()


async def answer(stream: trio.abc.Stream, body: bytes) -> None:
    """One connection: `body` for every request, until either side hangs up."""
    talk = h11.Connection(h11.SERVER)
    async with stream:
        try:
            while (method := await _request(stream, talk)) is not None:
                await stream.send_all(_response(talk, method, body))
                if talk.our_state is h11.MUST_CLOSE:
                    return
                talk.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return


async def _request(stream: trio.abc.Stream, talk: h11.Connection) -> bytes | None:
    """The method of the next request, once it is complete; None at the end of the connection."""
    method = b""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            method = event.method
            if talk.they_are_waiting_for_100_continue:
                await stream.send_all(
                    talk.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
        elif isinstance(event, h11.EndOfMessage):
            return method
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _response(talk: h11.Connection, method: bytes, body: bytes) -> bytes:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    head = talk.send(h11.Response(status_code=200, headers=headers)) or b""
    data = talk.send(h11.Data(data=body)) or b"" if method != b"HEAD" else b""
    return head + data + (talk.send(h11.EndOfMessage()) or b"")


if __name__ == "__main__":
    # Ctrl-C goes to every process of the terminal; an origin stays until pylb has let its requests end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trio.run(_origin, int(sys.argv[1]), int(sys.argv[2]))
