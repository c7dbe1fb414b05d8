"""A server that speaks TLS itself, so that nobody in between can read along."""

import http.server
import ssl
import sys

PORT = int(sys.argv[1])


class Answer(http.server.BaseHTTPRequestHandler):
    """Says which server it is."""

    def do_GET(self) -> None:
        body = f"server {PORT}, encrypted all the way\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    """Answers for ever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("app.pem", "app.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
