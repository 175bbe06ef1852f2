"""The only room that touches sockets: frames in and out, back-pressure, who is at the other end. It decides nothing about data.

May import: wire, types of raft and services. Promises: whatever arrives, memory stays within the bounds of `limits.Limits`;
who misbehaves is told once, if it still listens, and cut off; nobody else notices.

    door      accepts connections and finds out who is there       clients   asks in, answers out, back-pressure
    peers     one outgoing connection to each other member         http      heads and answers as bytes; http_link a connection of them
    members   what other members send us                           sockets   options every connection gets
"""
