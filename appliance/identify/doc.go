// Package identify keeps each tenant's face galleries in step with the state,
// searches them, and keeps snapshots of them for the next start. DESIGN.md tells
// how.
//
// The templates of the state are the truth; a gallery is made of them and must
// never have anything that they do not have. Nothing here searches across
// tenants. A sealed node has no gallery in memory.
package identify
