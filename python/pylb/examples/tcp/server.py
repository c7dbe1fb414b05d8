"""Any protocol over TCP would do; this one says which server it is, then sends back what it gets."""

import socketserver
import sys

PORT = int(sys.argv[1])


class Session(socketserver.StreamRequestHandler):
    """One client, until it ends its side."""

    def handle(self) -> None:
        self.wfile.write(f"server {PORT}\n".encode())
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", PORT), Session).serve_forever()
