"""Faulty servers for the matrix of agent clients: each port has one fault."""

import socket
import threading
import time

ALLOW = b'{"decision": "allow", "workflow_id": "01a219ab-c616-7118-93f0-ddb20c283aee", "reason": "x"}'


def answer(status, kind, body, more=b""):
    return b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n%s\r\n%s" % (status, kind, len(body), more, body)


DOES = {
    8101: lambda connection: time.sleep(120),  # slow
    8102: lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n" + ALLOW),
    8103: lambda connection: connection.sendall(b"{nope\r\n\r\n"),
    8104: lambda connection: connection.sendall(answer(b"500 Internal Server Error", b"application/json", ALLOW)),
    8105: lambda connection: connection.sendall(answer(b"307 Temporary Redirect", b"text/plain", b"", b"location: http://127.0.0.1:8107/\r\n")),
    8106: lambda connection: connection.sendall(answer(b"200 OK", b"application/json", b"")),
    8107: lambda connection: connection.sendall(answer(b"200 OK", b"text/html", ALLOW)),
    8108: lambda connection: connection.sendall(answer(b"200 OK", b"application/json", b'{"decision": true}')),
}


def serve(port, does):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()

        def handle(connection=connection):
            with connection:
                connection.recv(1 << 20)
                does(connection)

        threading.Thread(target=handle, daemon=True).start()


for port, does in DOES.items():
    threading.Thread(target=serve, args=(port, does), daemon=True).start()
threading.Event().wait()
