// Package replica keeps the blobs of a cluster on more than one node. Put has a
// blob durable here and on one more node before it returns; Open fetches what is
// absent or damaged here; Run fills each node with all that the state names and
// looks for bit rot.
//
// The package must never say that there are two copies before both are durable,
// never keep bytes that do not hash to their name, and never delete a blob that
// the state may name.
package replica
