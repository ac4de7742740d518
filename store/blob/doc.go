// Package blob keeps encrypted objects on this node's disk, each in a file
// named by the SHA-256 of its stored bytes, so that sha256sum finds rot.
//
// An object is a header (format 1, docs/formats.md) and DARE 2.0 packages of
// 64 KiB. Its key is derived from its owner's key, a random salt and the whole
// header: under another tenant, subject, id or class it cannot be read.
//
// The package must never release a byte that it has not authenticated, never
// name an object before it is durable, and never leave half of one behind.
package blob
