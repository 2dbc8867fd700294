"""Bytes and sockets: the only room that imports zmq. PROTOCOL.md beside this file is the specification.

Reading order:

    PROTOCOL.md         who may send what when, field by field
    limits.py           every maximum, with its unit and its reason
    header.py           the fixed header
    framing.py          messages to frames and back
    bodies.py           the msgpack bodies and their schemas
    keys.py             CurveZMQ keys: who may connect as whom
    key_files.py        single key files: text, modes, atomic writing
    key_list.py         the list of admitted keys, read again while the server runs
    endpoint.py         addresses
    options.py          every socket option that we set, with its reason
    multipart.py        sending and receiving a list of frames, quickly
    authenticator.py    which keys may connect, and the test that no other can
    handshake.py        what the transport says while a connection is being made
    refusals.py         the same as sentences for a user
    server_socket.py    the environment server's ROUTER
    agent_socket.py     an agent's DEALER
    sockets.py          both, for import
    ceiling.py          the same sockets without our protocol, to measure against
"""
