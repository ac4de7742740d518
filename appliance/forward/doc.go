// Package forward sends every event of every audit log to what a bank collects
// its logs with: a syslog receiver over TLS (RFC 5424, RFC 5425) or a file of
// JSON lines. It runs beside the requests and must never hold one up, skip an
// event, or let one sink wait for another.
//
// Each sink gets a log's events in order and at least once: a cursor, kept on
// disk, moves only past what the sink has confirmed, and whatever was not
// confirmed is sent again. The members log and seq of an event tell a copy from
// a new one, and show a gap.
//
// A file confirms by fsync. Syslog has no acknowledgement, so that the most a
// sender can know is that the receiver's kernel has taken the bytes: the cursor
// moves when the connection still stands and its send queue is empty (SIOCOUTQ).
// What a receiver has taken and not yet stored when it dies is lost to it; it
// shows as a gap in seq, and all is sent again once the sink's cursor file is
// removed while the node is stopped (and the sink is not to start from now).
// After a reconnection, a receiver may still read from the old connection what
// the new one brings again.
//
// A message is as long as its event, up to 17 KiB: receivers of RFC 5425 must
// take 2 KiB and should take 8 KiB, and those that cut longer ones need a
// setting for it.
package forward
