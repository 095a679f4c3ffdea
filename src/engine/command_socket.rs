//! LXC's command socket: the wire format, and the client side of it.
